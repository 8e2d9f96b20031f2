// A net/http server with mutual TLS 1.3: the same certificate, group, suite and bodies as the device that it stands beside.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// Readings goes to every stream: one event of this shape at a time, encoded once for each event.
type Reading struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Unit      string  `json:"unit"`
	Time      string  `json:"time"`
	Simulated bool    `json:"simulated"`
}

// Info has the fields of GET /v1/info, in the order of their names.
type Info struct {
	APIVersions     []string `json:"apiVersions"`
	DeviceID        string   `json:"deviceId"`
	FirmwareVersion string   `json:"firmwareVersion"`
	HardwareModel   string   `json:"hardwareModel"`
	LifeCycleState  string   `json:"lifeCycleState"`
	Manufacturer    string   `json:"manufacturer"`
	Model           string   `json:"model"`
	OwnerID         string   `json:"ownerId"`
	SerialNumber    string   `json:"serialNumber"`
	Variant         string   `json:"variant"`
}

var info = Info{
		APIVersions: []string{"v1"}, DeviceID: "00112233445566778899", FirmwareVersion: "0.1.0", HardwareModel: "virtual", LifeCycleState: "owned",
		Manufacturer: "Haechi", Model: "climate-node", OwnerID: "99887766554433221100", SerialNumber: "HC-0001", Variant: "host",
	}

// ActuatorRequest is the body of PUT /v1/actuators/{name}.
type ActuatorRequest struct {
	On *bool `json:"on"`
}

// measureJSON prints a line for each: name, operations, nanoseconds on a processor.
func measureJSON(seconds float64) {
	repeat(seconds, "encode", func() error {
		_, err := json.Marshal(info)
		return err
	})
	body := []byte(`{"on":true}`)
	repeat(seconds, "decode", func() error {
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		var request ActuatorRequest
		return decoder.Decode(&request)
	})
}

func repeat(seconds float64, name string, work func() error) {
	start := processorTime()
	operations := 0
	for (processorTime() - start).Seconds() < seconds {
		for range 100 {
			if err := work(); err != nil {
				log.Fatal(err)
			}
		}
		operations += 100
	}
	fmt.Println(name, operations, (processorTime() - start).Nanoseconds())
}

// processorTime of the process: others on the same machine do not count, its garbage collector does.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

type hub struct {
	mutex   sync.Mutex
	readers map[chan []byte]struct{}
}

func (h *hub) publish(event []byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for reader := range h.readers {
		reader <- event
	}
}

func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	flusher := w.(http.Flusher)
	reader := make(chan []byte, 1024)
	h.mutex.Lock()
	h.readers[reader] = struct{}{}
	h.mutex.Unlock()
	defer func() {
		h.mutex.Lock()
		delete(h.readers, reader)
		h.mutex.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	flusher.Flush()
	for {
		select {
		case event := <-reader:
			if _, err := w.Write(event); err != nil {
				return
			}
			flusher.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (h *hub) burst(count int) {
	for index := range count {
		reading := Reading{Name: "temperature", Value: 20 + float64(index%100)/10, Unit: "Cel", Time: "2026-01-31T12:00:00Z", Simulated: true}
		data, err := json.Marshal(reading)
		if err != nil {
			log.Fatal(err)
		}
		h.publish([]byte("event: reading\ndata: " + string(data) + "\n\n"))
	}
}

func answer(w http.ResponseWriter, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		log.Fatal(err)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.Write(body)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address and port")
	certificate := flag.String("certificate", "", "the server's certificate, PEM")
	key := flag.String("key", "", "its key, PEM")
	authority := flag.String("authority", "", "whose clients are served, PEM")
	bodyBytes := flag.Int("body-bytes", 16<<20, "length of /body")
	burst := flag.Int("burst", 500, "events of one burst")
	jsonSeconds := flag.Float64("json", 0, "serve nothing: encode and decode this long each, in seconds")
	flag.Parse()
	if *jsonSeconds > 0 {
		measureJSON(*jsonSeconds)
		return
	}

	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(*authority)
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatalf("%s holds no certificate", *authority)
	}
	configuration := &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}, NextProtos: []string{"http/1.1"},
	}
	body := make([]byte, *bodyBytes)
	streams := &hub{readers: map[chan []byte]struct{}{}}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /v1/info", func(w http.ResponseWriter, r *http.Request) { answer(w, info) })
	routes.HandleFunc("GET /body", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	})
	routes.HandleFunc("GET /v1/readings", streams.stream)
	routes.HandleFunc("PUT /v1/actuators/burst", func(w http.ResponseWriter, r *http.Request) {
		go streams.burst(*burst)
		answer(w, map[string]any{"name": "burst", "on": true, "safe": false})
	})

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Handler: routes, TLSConfig: configuration, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Minute,
		ErrorLog: log.New(os.Stderr, "", 0),
	}
	log.Fatal(server.ServeTLS(listener, "", ""))
}
