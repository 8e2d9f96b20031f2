"""Strangers at the door: many connections with a bad certificate. Runs as a program too, inside a network namespace.

python3 knock.py ADDRESS PORT COUNT CERTIFICATE KEY [SOURCE]
"""

import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

# A scanner's pace: fewer than the device takes of one peer at a time.
AT_A_TIME = 8


def knock(address: str, port: int, certificate: str, key: str, source: str = "") -> str:
    """One connection: `refused` by an alert, `let in`, or `dropped` without a word."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    try:
        with (
            socket.create_connection((address, port), timeout=120, source_address=(source, 0) if source else None) as plain,
            context.wrap_socket(plain, server_hostname="device") as tls,
        ):
            tls.sendall(b"GET /v1/info HTTP/1.1\r\nHost: device\r\nConnection: close\r\n\r\n")
            return "let in" if tls.recv(1) else "dropped"
    except OSError as error:
        return "refused" if "alert" in str(error).lower() else "dropped"


def main(arguments: list[str]) -> int:
    address, port, count, *rest = arguments
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        outcomes = list(pool.map(lambda _: knock(address, int(port), *rest), range(int(count))))
    for outcome in ("refused", "dropped", "let in"):
        print(outcome, outcomes.count(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
