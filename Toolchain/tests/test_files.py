"""Package lists, the cache folder, keys, links and the sandbox's command line: everything that needs no network."""

import fcntl
import io
import os
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from haechi_toolchain import archive, build, cache, console, packages, sandbox, sdk, tools  # noqa: E402
from haechi_toolchain.console import ToolchainError  # noqa: E402


class Folder(unittest.TestCase):
    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.folder = pathlib.Path(self._temporary.name).resolve()


class PackageListTests(unittest.TestCase):
    def test_names_excludes_and_links(self):
        found = packages.parse("# c\n\ndash\nexclude ./usr/share/doc/*\nlink /usr/bin/awk gawk\nlibc6-dev # why\n", "x")
        self.assertEqual(found, packages.PackageList(("dash", "libc6-dev"), ("./usr/share/doc/*",), (("/usr/bin/awk", "gawk"),)))

    def test_a_bad_line_is_named(self):
        for text in ("dash bash\n", "dash\nexclude\n", "dash\nlink /a\n"):
            with self.subTest(text), self.assertRaisesRegex(ToolchainError, "^list line "):
                packages.parse(text, "list")

    def test_an_empty_list_is_refused(self):
        with self.assertRaisesRegex(ToolchainError, "names no package"):
            packages.parse("# nothing\n", "list")

    def test_the_committed_lists_are_readable(self):
        for name in ("compiler-root", "sysroot", "swift-libraries", "tools-root"):
            self.assertTrue(packages.load(name).names)


class CacheTests(Folder):
    def test_the_environment_names_the_folder(self):
        with unittest.mock.patch.dict(os.environ, {"HAECHI_CACHE": str(self.folder / "a/b")}):
            self.assertEqual(cache.cache_folder(), self.folder / "a/b")

    def test_a_file_in_the_way_is_one_sentence(self):
        (self.folder / "file").write_text("", encoding="utf-8")
        with unittest.mock.patch.dict(os.environ, {"HAECHI_CACHE": str(self.folder / "file/inside")}):
            with self.assertRaisesRegex(ToolchainError, "set HAECHI_CACHE"):
                cache.cache_folder()

    def test_a_full_disk_is_found_beforehand(self):
        with self.assertRaisesRegex(ToolchainError, "making it needs .* MB .* are free"):
            cache.check_room(self.folder, 1 << 60, "making it")
        cache.check_room(self.folder, 1, "making it")

    def test_a_stopped_run_leaves_nothing_half_done(self):
        final = self.folder / "sdk-1"
        with self.assertRaises(ZeroDivisionError), cache.built_in_one_piece(final) as part:
            (part / "file").write_text("half", encoding="utf-8")
            raise ZeroDivisionError
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_what_a_killed_run_left_is_removed(self):
        final = self.folder / "sdk-1"
        stale = self.folder / ".sdk-1.part-old"
        (stale / "closed").mkdir(parents=True)
        (stale / "closed/file").write_text("", encoding="utf-8")
        (stale / "closed").chmod(0o500)
        with cache.built_in_one_piece(final) as part:
            (part / "file").write_text("whole", encoding="utf-8")
        self.assertEqual([entry.name for entry in self.folder.iterdir()], ["sdk-1"])

    def test_the_lock_excludes_and_says_so(self):
        said = io.StringIO()
        steps = console.Steps(said)
        path = self.folder / "lock"
        with cache.lock(path, steps, "the thing"):
            descriptor = os.open(path, os.O_RDWR)
            self.addCleanup(os.close, descriptor)
            with self.assertRaises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.assertEqual(said.getvalue(), "")


class KeyTests(Folder):
    def test_the_key_follows_from_names_and_contents(self):
        with unittest.mock.patch.object(sdk, "_TOOLCHAIN", self.folder):
            (self.folder / "a").write_text("1", encoding="utf-8")
            (self.folder / "b").write_text("2", encoding="utf-8")
            first = sdk.input_key(("a", "b"))
            self.assertEqual(first, sdk.input_key(("a", "b")))
            self.assertNotEqual(first, sdk.input_key(("b", "a")))
            (self.folder / "b").write_text("3", encoding="utf-8")
            self.assertNotEqual(first, sdk.input_key(("a", "b")))

    def test_every_input_exists(self):
        self.assertRegex(sdk.input_key(), "^[0-9a-f]{16}$")
        self.assertRegex(sdk.input_key(tools._INPUTS), "^[0-9a-f]{16}$")


class LinkTests(Folder):
    def test_absolute_links_become_relative_and_stay_inside(self):
        (self.folder / "usr/lib/deep").mkdir(parents=True)
        (self.folder / "lib").symlink_to("usr/lib")
        (self.folder / "usr/lib/real.so").write_text("x", encoding="utf-8")
        (self.folder / "usr/lib/deep/link.so").symlink_to("/lib/real.so")
        (self.folder / "usr/lib/kept.so").symlink_to("real.so")
        archive.make_links_relative(self.folder)
        self.assertEqual(os.readlink(self.folder / "usr/lib/deep/link.so"), "../../../lib/real.so")
        self.assertEqual((self.folder / "usr/lib/deep/link.so").read_text(encoding="utf-8"), "x")
        self.assertEqual(os.readlink(self.folder / "usr/lib/kept.so"), "real.so")

    def test_a_link_is_added_once_and_replaces_nothing(self):
        archive.add_links(self.folder, [("/usr/bin/awk", "gawk"), ("/usr/bin/awk", "mawk")])
        self.assertEqual(os.readlink(self.folder / "usr/bin/awk"), "gawk")

    def test_a_merged_usr(self):
        archive.prepare_root(self.folder / "root")
        self.assertEqual(os.readlink(self.folder / "root/lib"), "usr/lib")


class SharedLibraryTests(Folder):
    def test_owners_by_path_below_a_merged_usr(self):
        package = archive.Package("libb", "1-1", "arm64", "trixie", "00", 1, 1, "libb.deb")
        (self.folder / "usr/lib").mkdir(parents=True)
        for name in ("libb.so.1", "libc.so.6"):
            (self.folder / "usr/lib" / name).write_text("", encoding="utf-8")
        owners = sdk._shared_libraries(self.folder, {package: ["./usr/lib/libb.so.1", "./lib/libc.so.6", "./usr/lib/gone.so", "./usr/lib/x.a"]})
        self.assertEqual(sorted(owners), ["usr/lib/libb.so.1", "usr/lib/libc.so.6"])
        self.assertEqual(owners["usr/lib/libb.so.1"]["name"], "libb")


class SandboxTests(Folder):
    def test_git_rewrites_to_local_folders(self):
        names = "url./srv/git/.insteadof\nurl.file:///srv/other.insteadof\nurl.ssh://git@host/.insteadof\nurl./srv/git/.insteadof\n"
        self.assertEqual(sandbox.rewritten_folders(names), ["/srv/git", "/srv/other"])

    def test_the_command_binds_the_root_read_only_and_what_was_asked(self):
        (self.folder / "usr").mkdir()
        (self.folder / "bin").symlink_to("usr/bin")
        (self.folder / "etc").mkdir()
        with unittest.mock.patch("shutil.which", return_value="/usr/bin/bwrap"):
            words = sandbox.command(self.folder, ["true"], binds=[("/a", "/src", True), ("/b", "/sdk", False)], environment={"A": "1"})
        text = " ".join(words)
        self.assertIn(f"--ro-bind {self.folder}/usr /usr", text)
        self.assertIn("--symlink usr/bin /bin", text)
        self.assertIn("--bind /a /src --ro-bind /b /sdk", text)
        self.assertIn("--setenv A 1", text)
        self.assertEqual(words[-2:], ["--", "true"])

    def test_without_bubblewrap_one_sentence(self):
        with unittest.mock.patch("shutil.which", return_value=None), self.assertRaisesRegex(ToolchainError, "install the package bubblewrap"):
            sandbox.command(self.folder, ["true"])


class ReadyMadeSdkTests(Folder):
    def find(self, value):
        with unittest.mock.patch.dict(os.environ, {"SWIFT_SDK": str(value)}):
            return build.find_sdk(console.Steps(io.StringIO()), self.folder)

    def bundle(self):
        bundle = self.folder / "x.artifactbundle"
        sdk._write_bundle(self._made(bundle), "6.2.3-1")
        return bundle

    @staticmethod
    def _made(bundle):
        (bundle / "sysroot").mkdir(parents=True)
        return bundle

    def test_a_missing_folder_is_named(self):
        with self.assertRaisesRegex(ToolchainError, "does not exist"):
            self.find(self.folder / "gone")

    def test_a_bundle_is_read(self):
        with unittest.mock.patch("shutil.which", return_value="/usr/bin/swift"):
            found = self.find(self.bundle())
        self.assertEqual(found.sysroot, self.folder / "x.artifactbundle/sysroot")
        self.assertEqual(found.sdk_options, ["--swift-sdks-path", str(self.folder), "--swift-sdk", "haechi-arm64"])

    def test_a_bundle_for_another_machine_is_refused(self):
        bundle = self.bundle()
        text = (bundle / "swift-sdk.json").read_text(encoding="utf-8").replace("aarch64", "riscv64")
        (bundle / "swift-sdk.json").write_text(text, encoding="utf-8")
        with unittest.mock.patch("shutil.which", return_value="/usr/bin/swift"), self.assertRaisesRegex(ToolchainError, "not an artifact bundle"):
            self.find(bundle)


class StaleModuleTests(Folder):
    def test_compiled_modules_go_when_a_header_changes_and_only_then(self):
        tree, scratch = self.folder / "tree", self.folder / "scratch"
        (tree / "Sources").mkdir(parents=True)
        header, other = tree / "Sources/a.h", tree / "Sources/a.swift"
        request = build.Request("x", "release", False, "b", "v", tree, tree, None, [])
        modules = scratch / "swift" / sdk.TRIPLE / "release/ModuleCache"

        def is_kept():
            modules.mkdir(parents=True, exist_ok=True)
            build._forget_stale_modules(request, tree, scratch)
            return modules.exists()

        header.write_text("int a;", encoding="utf-8")
        other.write_text("1", encoding="utf-8")
        self.assertFalse(is_kept())
        self.assertTrue(is_kept())
        other.write_text("2", encoding="utf-8")
        self.assertTrue(is_kept())
        header.write_text("int b;", encoding="utf-8")
        self.assertFalse(is_kept())
        self.assertTrue(is_kept())


class BuildFolderTests(unittest.TestCase):
    def test_whatever_changes_the_compilation_has_a_folder_of_its_own(self):
        def name(variant="debug", haechi_product="", tests=False):
            place = pathlib.Path("/p")
            request = build.Request("x", "release", tests, "b", variant, place, place, None, [], haechi_product)
            return build.build_folder_name(request, "/t", "p", "sdk")

        names = [name(), name(variant="release"), name(haechi_product="hostile"), name(tests=True)]
        self.assertEqual(len(set(names)), len(names))
        self.assertEqual(name(), name())


class ErrorTests(unittest.TestCase):
    def run_main(self, error):
        said = io.StringIO()

        def main():
            raise error

        with unittest.mock.patch("sys.stderr", said), self.assertRaises(SystemExit) as caught:
            console.run_command(main)
        return caught.exception.code, said.getvalue()

    def test_a_failure_is_one_sentence(self):
        self.assertEqual(self.run_main(ToolchainError("the disk is full.")), (1, "error: the disk is full.\n"))

    def test_a_stop_is_not_a_trace(self):
        self.assertEqual(self.run_main(KeyboardInterrupt())[0], 130)

    def test_an_operating_system_error_names_the_file(self):
        code, text = self.run_main(PermissionError(13, "Permission denied", "/x"))
        self.assertEqual((code, text), (1, "error: the operating system refused: Permission denied (/x).\n"))


class SignatureTests(Folder):
    """A release file that the distribution's keys did not sign is refused. No key is needed to show it."""

    def check(self, content):
        lists = self.folder / "var/lib/apt/lists"
        lists.mkdir(parents=True, exist_ok=True)
        if content is not None:
            (lists / "mirror_dists_trixie_InRelease").write_text(content, encoding="utf-8")
        archive.Index(self.folder, "trixie", ["arm64"], self.folder, console.Steps(io.StringIO()))._check_signatures()

    @unittest.skipUnless(list(pathlib.Path("/usr/share/keyrings").glob("debian-archive-*.gpg")), "debian-archive-keyring is not installed")
    def test_what_is_not_signed_is_refused(self):
        for content in (
            "Origin: Debian\n",
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n"
            "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
        ):
            with self.subTest(content), self.assertRaisesRegex(ToolchainError, "is not by a key of debian-archive-keyring"):
                self.check(content)

    @unittest.skipUnless(list(pathlib.Path("/usr/share/keyrings").glob("debian-archive-*.gpg")), "debian-archive-keyring is not installed")
    def test_no_release_file_is_refused(self):
        with self.assertRaisesRegex(ToolchainError, "no signed release file"):
            self.check(None)


class RetryTests(unittest.TestCase):
    def test_a_passing_failure_is_retried_and_a_lasting_one_is_raised(self):
        said = io.StringIO()
        with unittest.mock.patch("time.sleep") as sleep:
            results = [ToolchainError("a."), ToolchainError("b."), 7]
            self.assertEqual(archive._retry(lambda: self.next_of(results), console.Steps(said), "it"), 7)
            self.assertEqual([call.args[0] for call in sleep.call_args_list], list(archive.PAUSES_BETWEEN_TRIES_S[:2]))
            with self.assertRaisesRegex(ToolchainError, "last"):
                archive._retry(lambda: self.next_of([ToolchainError("last.")]), console.Steps(said), "it")

    @staticmethod
    def next_of(results):
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def test_the_line_that_says_most(self):
        self.assertEqual(archive._telling_line("W: x\nE: cannot connect.\nE: gave up\nI: bye\n", "?"), "cannot connect")
        self.assertEqual(archive._telling_line("one\ntwo\n", "?"), "two")
        self.assertEqual(archive._telling_line("", "nothing"), "nothing")


if __name__ == "__main__":
    unittest.main()
