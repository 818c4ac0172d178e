"""Counts visits in a database, and says how many there were."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

TABLE = "CREATE TABLE IF NOT EXISTS visits (at timestamptz NOT NULL DEFAULT now())"


class Visits(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            return self.answer("ok")
        with psycopg2.connect(os.environ["DATABASE"]) as database, database.cursor() as cursor:
            cursor.execute(TABLE + "; INSERT INTO visits DEFAULT VALUES; SELECT count(*) FROM visits")
            (count,) = cursor.fetchone()
        return self.answer(f"{count} visits")

    def answer(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{text}\n".encode())


ThreadingHTTPServer(("", 8080), Visits).serve_forever()
