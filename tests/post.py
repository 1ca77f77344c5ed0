"""A mail server for the tests, as small as can be: what was said to it is kept, and it fails as it is told to."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


class Post(socketserver.ThreadingTCPServer):
    """`mode`: ok; hang (it takes the connection and says nothing); refuse (no address is right for it); lose (it takes
    the mail and is gone before it says so); busy (it takes nothing now)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.mode, self.mails, self.connections = "ok", [], 0  # type: tuple[str, list[EmailMessage], int]
        self.over = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        post = cast(Post, self.server)
        post.connections += 1
        if post.mode == "hang":
            post.over.wait(30)
            return
        self.say("220 post.example")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                self.say("354 go on")
                post.mails.append(self.mail())
                if post.mode == "lose":
                    return
            self.say(self.answer(post.mode, word))
            if word == "QUIT":
                return

    def answer(self, mode: str, word: str) -> str:
        if mode == "refuse" and word == "RCPT":
            return "550 nobody here"
        if mode == "busy" and word == "MAIL":
            return "451 later"
        return "221 bye" if word == "QUIT" else "250 ok"

    def mail(self) -> EmailMessage:
        lines = []
        while (line := self.rfile.readline().rstrip(b"\r\n")) != b".":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return message_from_bytes(b"\n".join(lines), policy=policy.default)

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@contextmanager
def open_post() -> Iterator[Post]:
    with Post() as post:
        thread = threading.Thread(target=post.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield post
        post.over.set()
        post.shutdown()
        thread.join(5)
