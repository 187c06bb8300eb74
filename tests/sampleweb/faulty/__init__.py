"""A web server on loopback addresses that misbehaves on demand: `python -m tests.sampleweb.faulty --hosts 50 --port 0`.

server      one port of many hosts, and what it is asked for
connection  requests are read one after another, tallied and answered
faults      what is answered: the path names the behaviour
site_files  every shape of a robots.txt and a tdmrep.json
answers     what is sent, and how
gallery     the pictures
tally       what was asked for, when, and how much at once
"""

from tests.sampleweb.faulty.server import Server, serving

__all__ = ["Server", "serving"]
