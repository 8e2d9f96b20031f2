// A net/http server with mutual TLS 1.3, as PID 1 of its own machine: what a small device in Go would be, before it has a guard, a DHCP
// client, packet filters or a product. It answers every request with the machine's memory.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	address = "192.0.2.50"
	mask    = "255.255.255.0"
	port    = ":8443"
)

// As the kernel has it (netdevice(7)).
type addressRequest struct {
	name    [16]byte
	family  uint16
	port    uint16
	address [4]byte
	_       [16]byte
}

type flagsRequest struct {
	name  [16]byte
	flags uint16
	_     [22]byte
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func control(socket int, request uintptr, argument unsafe.Pointer) {
	if _, _, number := syscall.Syscall(syscall.SYS_IOCTL, uintptr(socket), request, uintptr(argument)); number != 0 {
		panic(number)
	}
}

// bringUp gives eth0 its address: no DHCP, which is work that the peer is spared. Up first, and the address once there is a carrier:
// what the kernel sends before is dropped and sent again a second later.
func bringUp() {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	must(err)
	defer syscall.Close(socket)
	flags := flagsRequest{flags: syscall.IFF_UP}
	copy(flags.name[:], "eth0")
	control(socket, syscall.SIOCSIFFLAGS, unsafe.Pointer(&flags))
	for flags.flags&syscall.IFF_RUNNING == 0 {
		time.Sleep(time.Millisecond)
		control(socket, syscall.SIOCGIFFLAGS, unsafe.Pointer(&flags))
	}
	request := addressRequest{family: syscall.AF_INET}
	copy(request.name[:], "eth0")
	copy(request.address[:], net.ParseIP(address).To4())
	control(socket, syscall.SIOCSIFADDR, unsafe.Pointer(&request))
	copy(request.address[:], net.ParseIP(mask).To4())
	control(socket, syscall.SIOCSIFNETMASK, unsafe.Pointer(&request))
}

func answer(writer http.ResponseWriter, _ *http.Request) {
	writer.Header().Set("Content-Type", "text/plain")
	for _, path := range []string{"/proc/self/statm", "/proc/meminfo"} {
		if text, err := os.ReadFile(path); err == nil {
			writer.Write(text)
		}
	}
}

func main() {
	os.Mkdir("/proc", 0o755)
	must(syscall.Mount("proc", "/proc", "proc", 0, ""))
	certificate, err := tls.LoadX509KeyPair("/server.pem", "/server.key")
	must(err)
	authority, err := os.ReadFile("/authority.pem")
	must(err)
	callers := x509.NewCertPool()
	callers.AppendCertsFromPEM(authority)
	server := http.Server{
		Handler: http.HandlerFunc(answer),
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    callers,
			MinVersion:   tls.VersionTLS13,
		},
	}
	listener, err := net.Listen("tcp", port)
	must(err)
	bringUp()
	must(server.ServeTLS(listener, "", ""))
}
