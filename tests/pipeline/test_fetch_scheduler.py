"""The scheduler: each URL once, each host within its limits, nothing too early."""

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.scheduler import FIRST_CONNECTIONS, Address, Host, Scheduler
from pipeline.url import Failure, Url, parse

NO = Failure("robots", "forbidden")


def address(name: str, number: int) -> Address:
    url = f"http://{name}/{number}.jpg"
    return Address(url, url, parse(url))


def addresses(name: str, num: int) -> list[Address]:
    return [address(name, number) for number in range(num)]


@dataclass
class World:
    """A simulation of workers, whose time advances only while all of them wait."""

    now: int = 0
    under_way: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)  # heap: end, order, what then
    starts: list[tuple[int, Host, Address]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.schedule = Scheduler(lambda: self.now)
        self.schedule.changed.wait = self.wait  # type: ignore[method-assign]

    def wait(self, seconds: int | None) -> None:
        """Advance time to the next event; there must be one."""
        ends = [self.under_way[0][0]] if self.under_way else []
        self.now = min(ends + ([] if seconds is None else [self.now + seconds]))
        while self.under_way and self.under_way[0][0] <= self.now:
            heapq.heappop(self.under_way)[2]()

    def work(self, seconds: int, again_after: int | None = None) -> Address:
        """Take a URL, and release its host after some time, perhaps with a retry later."""
        host, taken = self.schedule.take()
        assert isinstance(host, Host) and isinstance(taken, Address)
        self.starts.append((self.now, host, taken))
        again = () if again_after is None else (taken, self.now + seconds + again_after)
        end = (self.now + seconds, len(self.starts), lambda: self.schedule.done(host, *again))
        heapq.heappush(self.under_way, end)
        return taken


def test_urls_of_a_host_are_in_order_one_at_a_time() -> None:
    world, wanted = World(), addresses("a.example", 4)
    world.schedule.add(Host("a.example"), wanted)
    assert [world.work(10) for _ in wanted] == wanted
    assert [start for start, *_ in world.starts] == [0, 10, 20, 30]


def test_hosts_do_not_wait_for_each_other() -> None:
    world = World()
    for name in ("a.example", "b.example"):
        world.schedule.add(Host(name, interval=5), addresses(name, 3))
    taken = [world.work(2).place.host for _ in range(6)]
    assert taken == ["a.example", "b.example"] * 3
    assert [start for start, *_ in world.starts] == [0, 0, 5, 5, 10, 10]


def test_limits_apply_once_they_are_set() -> None:
    world, host = World(), Host("a.example")
    world.schedule.add(host, addresses("a.example", 7))
    world.work(1)
    world.work(1)
    world.schedule.limit(host, 2, 3)  # at 1: the next at 4
    for _ in range(5):
        world.work(100)
    assert [start for start, *_ in world.starts] == [0, 1, 4, 7, 104, 107, 204]


def test_a_host_that_rests() -> None:
    world, host = World(), Host("a.example", max_connections=4, has_answered=True)
    world.schedule.add(host, addresses("a.example", 3))
    world.schedule.add(Host("b.example"), addresses("b.example", 1))
    world.work(1)
    world.schedule.rest(host, 50)
    world.schedule.rest(host, 20)  # does not shorten it
    assert world.work(1).place.host == "b.example"
    world.work(1)
    world.work(1)
    assert [start for start, *_ in world.starts] == [0, 0, 50, 50]


def test_a_retry_waits_while_others_continue() -> None:
    world = World()
    world.schedule.add(Host("a.example"), addresses("a.example", 3))
    first = world.work(1, again_after=30)
    world.work(1)
    world.work(1)
    assert world.work(1) is first
    assert [start for start, *_ in world.starts] == [0, 1, 2, 31]


def test_finished_urls_need_no_request() -> None:
    world, host = World(), Host("a.example", interval=10)
    wanted = addresses("a.example", 5)
    world.schedule.add(host, wanted)
    world.work(1)

    def judge(place: Url) -> Failure | None:
        return NO if place.url[-5] in "024" else None

    world.schedule.settle(host, judge)
    assert [world.schedule.take() for _ in range(2)] == [(wanted[2], NO), (wanted[4], NO)]  # the first is under way
    assert [world.work(1), world.work(1)] == [wanted[1], wanted[3]]
    assert [start for start, *_ in world.starts] == [0, 10, 20]


def test_waiting_threads_are_notified() -> None:
    schedule, host = Scheduler(), Host("a.example")
    schedule.add(host, addresses("a.example", 2), not_before=time.monotonic() + 600)
    taken: list[object] = []
    threads = [threading.Thread(target=lambda: taken.append(schedule.take()), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    sooner = address("b.example", 1)
    schedule.add(Host("b.example"), [sooner])
    schedule.settle(host, lambda place: NO)
    for thread in threads:
        thread.join(120)
    assert len(taken) == 3 and Counter(second is NO for _, second in taken) == {True: 2, False: 1}  # type: ignore[misc]


def test_threads_share_hosts_within_their_limits() -> None:
    schedule, lock = Scheduler(), threading.Lock()
    hosts = [Host(f"{name}.example", max_connections=2, has_answered=True, interval=0.01) for name in "abc"]
    active: Counter[str] = Counter()
    starts: list[tuple[Host, Address]] = []
    most = Counter[str]()
    for host in hosts:
        schedule.add(host, addresses(host.name, 12))

    def work() -> None:
        for _ in range(6):
            host, taken = schedule.take()
            assert isinstance(host, Host) and isinstance(taken, Address)
            with lock:
                starts.append((host, taken))
                active[host.name] += 1
                most[host.name] = max(most[host.name], active[host.name])
            time.sleep(0.025)
            with lock:
                active[host.name] -= 1
            schedule.done(host)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len({taken.image_id for _, taken in starts}) == len(starts) == 36
    assert all(taken.place.host == host.name for host, taken in starts)
    assert max(most.values()) <= 2


# of a host: connections, interval, and of each of its addresses: not before, the times of its tries, the wait between
HOST = st.tuples(
    st.integers(1, 3),
    st.integers(0, 4),
    st.lists(
        st.tuples(st.integers(0, 9), st.lists(st.integers(0, 7), min_size=1, max_size=3), st.integers(0, 9)), max_size=6
    ),
)


@given(st.lists(HOST, max_size=4))
def test_any_sequence(plans: list[tuple[int, int, list[tuple[int, list[int], int]]]]) -> None:
    world = World()
    tries: dict[str, list[int]] = {}
    waits: dict[str, int] = {}
    due: dict[str, int] = {}
    ends: list[tuple[Host, int, int]] = []
    for number, (connections, interval, wanted) in enumerate(plans):
        host = Host(f"h{number}.example", max_connections=connections, has_answered=True, interval=interval)
        for one, (not_before, seconds, wait) in zip(addresses(host.name, len(wanted)), wanted, strict=True):
            tries[one.image_id], waits[one.image_id], due[one.image_id] = list(seconds), wait, not_before
            world.schedule.add(host, [one], not_before)
    while any(tries.values()):
        host, taken = world.schedule.take()
        assert isinstance(host, Host) and isinstance(taken, Address)
        begin, name = world.now, taken.image_id
        assert begin >= due[name]
        end = begin + tries[name].pop(0)
        ends.append((host, begin, end))
        due[name] = end + waits[name]
        again = (taken, due[name]) if tries[name] else ()
        heapq.heappush(world.under_way, (end, len(ends), lambda h=host, a=again: world.schedule.done(h, *a)))
    for host in {host for host, *_ in ends}:
        own = [(begin, end) for h, begin, end in ends if h is host]
        assert all(later - earlier >= host.interval for (earlier, _), (later, _) in pairwise(own))
        assert all(sum(b <= begin < e for b, e in own) <= host.connections for begin, _ in own)
    num_tries = sum(len(seconds) for *_, wanted in plans for _, seconds, _ in wanted)
    assert len(ends) == num_tries  # and `take` has never waited for what cannot come


def test_a_host_gets_more_connections_once_it_has_answered() -> None:
    schedule, host = Scheduler(), Host("a.example")
    assert host.connections == 1
    schedule.limit(host, 4, 0.0)
    assert host.connections == FIRST_CONNECTIONS < 4
    host.num_lost = 2
    schedule.answered(host)
    assert (host.connections, host.num_lost) == (4, 0)
