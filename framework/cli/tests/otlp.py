"""An OpenTelemetry collector that writes down what it is sent, a JSON object a line, decoded by OpenTelemetry's own classes.

The argument says how it answers: `ok`; a status and a number (`503:2`: the first two requests for each signal are answered so, and
the others well); `silent`: not at all; `partial`: that it has refused one. With a certificate and a
key, it answers on HTTPS. The first line has the port. It ends with its stdin.
"""

import json
import ssl
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

KINDS = {
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
}
HOW = sys.argv[1]
LOCK = threading.Lock()
SEEN: Counter[str] = Counter()


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        request, response = KINDS[self.path]
        told = request()
        told.ParseFromString(body)
        status = 200
        with LOCK:
            SEEN[self.path] += 1
            if ":" in HOW and SEEN[self.path] <= int(HOW.split(":")[1]):
                status = int(HOW.split(":")[0])
            line = {
                "path": self.path,
                "status": status,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": MessageToDict(told),
            }
            print(json.dumps(line), flush=True)
        if HOW == "silent":
            threading.Event().wait()
        answer = response()
        if HOW == "partial":
            partial = answer.partial_success
            field = "rejected_spans" if "traces" in self.path else "rejected_data_points"
            setattr(partial, field, 1)
            partial.error_message = "not today"
        payload = answer.SerializeToString()
        self.send_response(status)
        if status == 503:
            self.send_header("retry-after", "0")
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
server.daemon_threads = True
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
