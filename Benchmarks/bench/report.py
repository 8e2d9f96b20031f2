"""Results as JSON, as a Markdown table with ratios, and as plots."""

import datetime
import json
import os
import platform
import subprocess

from .measurement import measurement


def write(folder, subject, mode, measurements):
    """One module's results: `folder`/`subject`.json."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "subject": subject,
        "mode": mode,
        "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": _commit(),
        "machine": machine(),
        "measurements": [measurement.record() for measurement in measurements],
    }
    folder.joinpath(f"{subject}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def table(folder, subjects):
    """`folder`/table.md out of the results files that are there."""
    lines = ["# Measured", "", "Ratio: how many times better Haechi is than that peer in the same run; 1 is parity, above 1 is ahead.", ""]
    lines.append("± is half the distance between the quartiles. Made by `make bench`; do not edit.")
    for subject, document in _documents(folder, subjects):
        lines += ["", f"## {subject}", ""]
        lines.append(f"{document['made']}, {document['mode']} mode, commit {document['commit']}, {document['machine']}")
        lines += ["", "| what | unit | Haechi | beside it (ratio) |", "|---|---|---|---|"]
        notes = []
        for made in map(measurement, document["measurements"]):
            mark = ""
            if made.note:
                if made.note not in notes:
                    notes.append(made.note)
                mark = f" [{notes.index(made.note) + 1}]"
            own, *others = made.samples
            cells = [f"{who} {_value(made, who)}{_ratio(made, own, who)}" for who in others]
            direction = "less is better" if made.better == "lower" else "more is better"
            lines.append(f"| {made.name}{mark} | {made.unit}, {direction} | {own} {_value(made, own)} | {'; '.join(cells)} |")
        lines += [""] + [f"{number}. {note}" for number, note in enumerate(notes, 1)] if notes else []
    folder.joinpath("table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def plots(folder, subjects):
    """`folder`/`subject`.svg: each measurement's ratios to the peers, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "haechi"
    from matplotlib import pyplot

    for subject, document in _documents(folder, subjects):
        rows = []
        for made in map(measurement, document["measurements"]):
            own, *others = made.samples
            rows += [(f"{made.name} / {who}", ratio) for who in others if (ratio := made.ratio(own, who))]
        if not rows:
            continue
        figure, axes = pyplot.subplots(figsize=(9, 0.8 + 0.24 * len(rows)), layout="constrained")
        labels, ratios = zip(*reversed(rows), strict=True)
        axes.barh(range(len(rows)), [ratio - 1 for ratio in ratios], left=1, color=["#2a7f62" if ratio >= 1 else "#b5533c" for ratio in ratios])
        axes.set_xscale("log")
        axes.set_yticks(range(len(rows)), labels, fontsize=7)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xlabel("times better than the peer (1: parity)")
        axes.set_title(f"{subject}, {document['made'][:10]}, {document['mode']} mode", fontsize=9)
        figure.savefig(folder / f"{subject}.svg", metadata={"Date": None})
        pyplot.close(figure)


def machine():
    """The machine's class, in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), platform.machine()
    )
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}, OpenSSL {openssl}"


def _commit():
    """What was measured; what a run itself writes does not make it dirty."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if head.returncode != 0:
        return "unknown"
    written = [":/", ":(top,exclude)Benchmarks/results", ":(top,exclude)README.md"]
    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no", "--", *written], capture_output=True, text=True)
    return head.stdout.strip() + ("-dirty" if changed.returncode != 0 or changed.stdout else "")


def _documents(folder, subjects):
    for subject in subjects:
        path = folder / f"{subject}.json"
        if path.is_file():
            yield subject, json.loads(path.read_text(encoding="utf-8"))


def value(made, who):
    """A median as a table shows it."""
    median = made.median(who)
    return f"{median:,.0f}" if abs(median) >= 1000 else f"{median:.3g}"


def _value(made, who):
    spread = made.spread(who)
    return value(made, who) + (f" ± {spread:.0%}" if spread else "")


def _ratio(made, own, who):
    ratio = made.ratio(own, who)
    return f" ({ratio:.2f} ×)" if ratio else ""
