/// A server that does what is asked of it and notes what it sees; Python's standard library only.
///
/// It prints its ports as JSON and ends when its standard input does. Whatever a test must know of the server's side is a
/// *fact* with a key, which `/fact?key=…&least=…` waits for.
let serverScript = #"""
    import base64, http.server, itertools, json, os, shutil, socket, socketserver, ssl, subprocess, sys, threading
    import time, urllib.parse

    folder = sys.argv[1]
    changed = threading.Condition()
    facts = {}
    serials = itertools.count(1)
    PATTERN = b"0123456789abcdef" * 4096

    def note(key, value):
        with changed:
            facts[key] = value
            changed.notify_all()

    def count(key):
        with changed:
            facts[key] = facts.get(key, 0) + 1
            changed.notify_all()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        tls = None

        def setup(self):
            self.serial = next(serials)
            self.request.settimeout(30)
            if self.tls:
                self.request = self.tls.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
                try:
                    self.request.do_handshake()
                except ssl.SSLError:
                    self.drain()
                    raise
            super().setup()

        def drain(self):
            """Lets the client read the alert: closing while there is something to read would reset the connection."""
            with socket.socket(fileno=os.dup(self.request.fileno())) as bare:
                bare.settimeout(5)
                bare.shutdown(socket.SHUT_WR)
                while bare.recv(4096):
                    pass

        def log_message(self, *arguments):
            pass

        def answer(self, body, status=200, headers=()):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def raw(self, text):
            self.wfile.write(text.replace("\n", "\r\n").encode())
            self.wfile.flush()

        def note_close(self, id):
            try:
                while self.request.recv(4096):
                    pass
            except OSError:
                pass
            note("closed:" + id, 1)
            self.close_connection = True

        def any_method(self):
            url = urllib.parse.urlsplit(self.path)
            query = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
            id = query.get("id", "")
            size = int(query.get("size", 0))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if url.path == "/echo":
                seen = {
                    "method": self.command, "target": self.path, "body": base64.b64encode(body).decode(),
                    "headers": [f"{name}: {value}" for name, value in self.headers.items()],
                    "connection": self.serial, "serverName": getattr(self.request, "name", None) or "",
                }
                self.answer(json.dumps(seen).encode(), headers=[("Content-Type", "application/json")])
            elif url.path == "/fact":
                least = int(query.get("least", 1))
                with changed:
                    changed.wait_for(lambda: key_reached(query["key"], least), 10)
                    self.answer(str(facts.get(query["key"], "")).encode())
            elif url.path == "/bytes":
                self.send_response(int(query.get("status", 200)))
                self.send_header("Content-Length", str(size))
                self.end_headers()
                self.flood(id, size)
            elif url.path == "/repeat":
                self.answer(b"", headers=[("Warning", "299 - \"a\""), ("warning", "299 - \"b\""), ("X-Empty", "")])
            elif url.path == "/nothing":
                self.raw("HTTP/1.1 204 No Content\n\n")
            elif url.path == "/interim":
                self.raw("HTTP/1.1 103 Early Hints\nLink: early\n\nHTTP/1.1 200 OK\nContent-Length: 4\nX-Final: yes\n\nbody")
            elif url.path == "/chunked":
                self.raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Late\n\n")
                self.raw("3\nabc\n4\ndefg\n0\nX-Late: yes\n\n")
            elif url.path == "/unframed":
                self.raw("HTTP/1.0 200 OK\n\nuntil the end")
                self.close_connection = True
            elif url.path == "/garbage":
                self.raw("SSH-2.0-OpenSSH\n")
                self.close_connection = True
            elif url.path == "/endless-head":
                self.raw("HTTP/1.1 200 OK\n")
                try:
                    for _ in range(200):
                        self.raw("X: " + "x" * 16384 + "\n")
                except OSError:
                    pass
                self.close_connection = True
            elif url.path == "/hangup":
                self.close_connection = True
            elif url.path == "/cut":
                self.raw("HTTP/1.1 200 OK\nContent-Length: 100\n\nten bytes!")
                self.close_connection = True
            elif url.path == "/silent":
                count("arrived:" + id)
                self.note_close(id)
            elif url.path == "/stream":
                self.raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nX-Via: " + self.headers.get("Via", "none") + "\n\n")
                if "piece" in query:
                    self.raw("5\npiece\n")
                self.note_close(id)
            elif url.path == "/talk":
                try:
                    self.raw("HTTP/1.1 101 Switching Protocols\nUpgrade: talk\nConnection: Upgrade\n\n")
                    while (piece := self.rfile.read1(65536)):
                        self.wfile.write(piece)
                except OSError:
                    pass
                note("closed:" + id, 1)
                self.close_connection = True
            elif url.path == "/listen":
                count("arrived:" + id)
                with changed:
                    changed.wait_for(lambda: key_reached("go:" + id, 1), 20)
                heard = 0
                try:
                    while heard < size and (piece := self.rfile.read1(65536)):
                        heard += len(piece)
                except OSError:
                    pass
                note("heard:" + id, heard)
                self.close_connection = True
            elif url.path == "/go":
                note("go:" + id, 1)
                self.raw("HTTP/1.1 204 No Content\n\n")
            elif url.path == "/steady":
                self.raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")
                for _ in range(size):
                    time.sleep(0.1)
                    self.raw("1\n.\n")
                self.raw("0\n\n")
            else:
                self.answer(b"no such path", 404)

        def flood(self, id, size):
            self.request.settimeout(0.3)
            sent = 0
            try:
                while sent < size:
                    begin = sent % 16
                    piece = PATTERN[begin:begin + min(size - sent, len(PATTERN) - 16)]
                    try:
                        sent += self.request.send(piece)
                    except TimeoutError:
                        note("stalled:" + id, sent)
            except OSError:
                note("closed:" + id, 1)
                self.close_connection = True
            self.request.settimeout(30)

        do_GET = do_POST = do_PATCH = do_DELETE = do_HEAD = any_method

    def key_reached(key, least):
        value = facts.get(key)
        return value is not None and (isinstance(value, str) or value >= least)

    class Tunnel(socketserver.StreamRequestHandler):
        """A proxy that knows every name as this machine's."""
        def handle(self):
            if self.server.socks:
                self.request.sendall(b"\x05\x00" if self.rfile.read(2 + self.rfile.peek(2)[1])[0] == 5 else b"\x05\xff")
                self.rfile.read(3)
                assert self.rfile.read(1) == b"\x03", "a name, not an address"
                name = self.rfile.read(self.rfile.read(1)[0]).decode()
                port = int.from_bytes(self.rfile.read(2), "big")
                granted = b"\x05\x00\x00\x01" + bytes(6)
            else:
                name, port = self.rfile.readline().split()[1].decode().rsplit(":", 1)
                lines = []
                while (line := self.rfile.readline().strip()):
                    lines.append(line.decode())
                secret = [line.split()[-1] for line in lines if line.lower().startswith("proxy-authorization:")]
                if secret:
                    note("secret:" + name, base64.b64decode(secret[0]).decode())
                if name.startswith("forbidden"):
                    self.request.sendall(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
                    return
                granted = b"HTTP/1.1 200 OK\r\nX-Proxy: yes\r\n\r\n"
            count("proxied:" + name)
            with socket.create_connection(("127.0.0.1", int(port)), 10) as server:
                self.request.sendall(granted)
                other = threading.Thread(target=pump, args=(server, self.request), daemon=True)
                other.start()
                pump(self.request, server)
                other.join(10)

    def pump(source, target):
        try:
            while (piece := source.recv(65536)):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 256
        def handle_error(self, request, address):
            pass

    def serve(handler, **attributes):
        server = Server(("127.0.0.1", 0), handler)
        server.socks = attributes.get("socks", False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_address[1]

    def context(name, demand=False):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(f"{folder}/{name}.crt", f"{folder}/{name}.key")
        made.sni_callback = lambda request, name, _: setattr(request, "name", name)
        if demand:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(f"{folder}/authority.crt")
        return made

    def https(name, demand=False):
        return serve(type("TLS", (Handler,), {"tls": context(name, demand)}))

    ports = {
        "plain": serve(Handler), "https": https("server"), "demanding": https("server", True),
        "otherName": https("other"), "expired": https("expired"),
        "proxy": serve(Tunnel), "socks": serve(Tunnel, socks=True),
    }
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ports["closed"] = unused.getsockname()[1]
    mute = socket.create_server(("127.0.0.1", 0))
    ports["mute"] = mute.getsockname()[1]

    nghttpx = shutil.which("nghttpx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    child = None
    if nghttpx:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        child = subprocess.Popen(
            [nghttpx, "--conf=/dev/null", "--no-ocsp", f"-f127.0.0.1,{port}", f"-b127.0.0.1,{ports['plain']}", "--workers=1",
             "--errorlog-file=/dev/null", f"{folder}/server.key", f"{folder}/server.crt"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 5
        while "http2" not in ports and time.monotonic() < until and child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                ports["http2"] = port
            except OSError:
                time.sleep(0.02)

    print(json.dumps(ports), flush=True)
    sys.stdin.read()
    if child:
        child.kill()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)
    """#
