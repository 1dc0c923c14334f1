#!/usr/bin/env python3
"""supervisord event listener of supervisor-agent.

Passes events to the agent's socket and the agent's answers back. It outlives the agent: the one unanswered
event is kept and handed over again, and supervisord keeps the rest, because READY is only ever said by the
agent. A listener that writes anything out of turn is shut out by supervisord for ever, so every byte from the
agent is checked first.

usage: event-listener.py SOCKET
"""
import codecs
import json
import os
import re
import select
import socket
import sys

RETRY_MS = 200
MAX_HEADER = 4096
MAX_PAYLOAD = 1 << 20  # code points; what is longer is answered here, and the agent sees a hole in poolserial
READY = b'READY\n'
RESULT = b'RESULT 2\nOK'
LENGTH = re.compile(br' len:(\d{1,15})\n$')


class Violation(Exception):
    """The other side broke the protocol."""


class EventReader:
    """Cuts one event out of stdin. `len:` counts code points, so the payload is decoded to find its end."""

    def __init__(self):
        self.raw = b''
        self.left = None  # code points still to come; None while in the header
        self.oversize = False
        self.decoder = codecs.getincrementaldecoder('utf-8')('replace')

    def feed(self, data):
        """True when the event is complete."""
        if self.left is None:
            self.raw += data
            end = self.raw.find(b'\n') + 1
            if end == 0 and len(self.raw) <= MAX_HEADER:
                return False
            length = LENGTH.search(self.raw[:end])
            if length is None:
                raise Violation('supervisord sent no event header')
            self.left = int(length.group(1))
            self.oversize = self.left > MAX_PAYLOAD
            self.raw, data = self.raw[:end], self.raw[end:]
        self.left -= len(self.decoder.decode(data))
        if not self.oversize:
            self.raw += data
        if self.left < 0:
            raise Violation('supervisord sent more than one event')
        return self.left == 0


class Shim:
    def __init__(self, path):
        self.path = path
        self.supervisord = os.getppid()
        self.started = start_ticks(self.supervisord)
        self.ready = False  # READY is out and not one byte of an event has come since
        self.reader = None  # the event that is coming in
        self.pending = b''  # the event that is unanswered
        self.agent = None
        self.inbox = b''
        self.outbox = b''

    def run(self):
        while True:
            poll = select.poll()
            poll.register(0, select.POLLIN)
            if self.agent is None:
                self.connect()
            if self.agent is not None:
                poll.register(self.agent, select.POLLIN | (select.POLLOUT if self.outbox else 0))
            for fd, events in poll.poll(RETRY_MS if self.agent is None else None):
                if fd == 0:
                    self.read_event()
                elif self.agent is not None:
                    self.serve_agent(events)

    def connect(self):
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        agent.setblocking(False)
        try:
            agent.connect(self.path)
        except OSError:  # also EAGAIN: its backlog is full
            agent.close()
            return
        self.agent = agent
        self.inbox = b''
        hello = {'shim': 1, 'pid': os.getpid(), 'supervisord': self.supervisord, 'started': self.started,
                 'ready': self.ready, 'pending': bool(self.pending or self.reader), 'cwd': working_directory()}
        self.outbox = json.dumps(hello).encode() + b'\n' + self.pending
        log('connected to the agent')

    def disconnect(self, why):
        self.agent.close()
        self.agent = None
        self.outbox = b''
        log('no agent: ' + why)

    def read_event(self):
        data = os.read(0, 65536)
        if not data:
            sys.exit(0)
        if not self.ready and self.reader is None:
            raise Violation('supervisord sent an event before READY')
        self.ready = False
        self.reader = self.reader or EventReader()
        if not self.reader.feed(data):
            return
        event, self.reader = self.reader, None
        if event.oversize:
            say(RESULT)
            if self.agent is not None:  # it said READY for an event that it can take
                self.ready = True
                say(READY)
            return
        self.pending = event.raw
        if self.agent is not None:
            self.outbox += event.raw

    def serve_agent(self, events):
        try:
            if self.outbox and events & select.POLLOUT:
                self.outbox = self.outbox[self.agent.send(self.outbox):]
            if events & ~select.POLLOUT:
                data = self.agent.recv(65536)
                if not data:
                    return self.disconnect('it closed the connection')
                self.inbox += data
                self.take_answers()
        except BlockingIOError:
            pass
        except (OSError, Violation) as error:
            self.disconnect(str(error))

    def take_answers(self):
        while self.inbox:
            if self.inbox.startswith(READY) and not (self.ready or self.pending or self.reader):
                self.ready, self.inbox = True, self.inbox[len(READY):]
                say(READY)
            elif self.inbox.startswith(RESULT) and self.pending:
                self.pending, self.inbox = b'', self.inbox[len(RESULT):]
                say(RESULT)
            elif READY.startswith(self.inbox) or RESULT.startswith(self.inbox):
                if self.inbox not in (READY, RESULT):
                    return  # the rest is on its way
                raise Violation('it answered out of turn')
            else:
                raise Violation('it sent something else than an answer')


def say(token):
    while token:
        token = token[os.write(1, token):]


def log(text):
    print(text, file=sys.stderr, flush=True)


def working_directory():
    try:
        return os.getcwd()
    except OSError:
        return ''


def start_ticks(pid):
    """When supervisord started, by the kernel's clock: with its pid it names one run of it."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            return int(stat.read().rsplit(')', 1)[1].split()[19])
    except (OSError, ValueError, IndexError):
        return None


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        Shim(sys.argv[1]).run()
    except BrokenPipeError:
        sys.exit(0)
    except Violation as violation:
        sys.exit(str(violation))
