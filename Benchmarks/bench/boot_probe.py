"""Runs inside the comparison's network: knocks at the machine until it answers one request, and prints when that was.

    python3 boot_probe.py ADDRESS PORT [CERTIFICATE KEY]

Knocking costs the machine next to nothing: one SYN every 5 ms, to a hardware address that is known already, and nothing more until a
connection stands. With a certificate the request is HTTP over mutual TLS 1.3, else whatever the machine says by itself.
"""

import errno
import json
import selectors
import socket
import ssl
import sys
import time

KNOCK_S = 0.005
DEADLINE_S = 900


def connected(address, port, end):
    """A connection: the first of the knocks that was let in."""
    with selectors.DefaultSelector() as selector:
        knocks, next_knock = [], 0.0
        try:
            while time.monotonic() < end:
                now = time.monotonic()
                if now >= next_knock:
                    next_knock = now + KNOCK_S
                    knock = socket.socket()
                    knock.setblocking(False)
                    if knock.connect_ex((address, port)) in (0, errno.EINPROGRESS):
                        selector.register(knock, selectors.EVENT_WRITE)
                        knocks.append(knock)
                    else:
                        knock.close()
                    # One that nobody has answered by now went to a machine that was not there yet.
                    if len(knocks) > 20:
                        old = knocks.pop(0)
                        selector.unregister(old)
                        old.close()
                for key, _ in selector.select(max(0.0, next_knock - time.monotonic())):
                    knock = key.fileobj
                    selector.unregister(knock)
                    knocks.remove(knock)
                    if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                        knock.setblocking(True)
                        return knock
                    knock.close()
        finally:
            for knock in knocks:
                knock.close()
    raise TimeoutError(f"nobody listens on {address}:{port} after {DEADLINE_S} s")


def main(arguments):
    address, port, *credentials = arguments
    context = None
    if credentials:
        # Who the machine is does not matter here, and a device that was never provisioned has no name yet.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(*credentials)
    print("knocking", flush=True)
    end = time.monotonic() + DEADLINE_S
    refusal = ""
    while time.monotonic() < end:
        connection = connected(address, int(port), end)
        connected_s = time.monotonic()
        source_port = connection.getsockname()[1]
        connection.settimeout(60)
        try:
            if context:
                connection = context.wrap_socket(connection)
                connection.sendall(f"GET /v1/info HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            text = connection.recv(65536)
            answered_s = time.monotonic()
            if not text:
                continue
            connection.settimeout(2)
            try:
                while more := connection.recv(65536):
                    text += more
            except TimeoutError:
                pass
            answer = {"connected_s": connected_s, "answered_s": answered_s, "source_port": source_port, "answer": text.decode(errors="replace")}
            print(json.dumps(answer), flush=True)
            return 0
        except OSError as error:
            refusal = str(error)
        finally:
            connection.close()
    print(f"boot_probe: {address}:{port} never answered; last: {refusal or 'nothing'}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
