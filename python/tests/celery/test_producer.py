# SPDX-License-Identifier: MIT
"""Where a send and a result leave kombu's and Celery's own way, and where they must not."""

import datetime
import uuid

import pytest
from celery import states
from kombu.exceptions import ContentDisallowed, OperationalError
from redis import exceptions

from shoal.celery.transport import Channel


@pytest.fixture
def refusals(monkeypatch):
    """Errors that the next publications end with, in this order; and how often one was tried."""
    errors, tries, publish = [], [], Channel.basic_publish

    def basic_publish(channel, *args, **options):
        tries.append(args)
        if errors:
            raise errors.pop(0)
        return publish(channel, *args, **options)

    monkeypatch.setattr(Channel, "basic_publish", basic_publish)
    return errors, tries


def ready(site):
    stats = site.queues.stats(b"celery")
    return stats["ready"] if stats else 0


def test_a_send_that_found_no_connection_is_tried_again_as_its_policy_says(site, refusals):
    errors, tries = refusals
    site.send("number", 1)  # its producer is tuned from now on
    errors += [exceptions.ConnectionError("gone"), exceptions.ConnectionError("still gone")]
    site.send("number", 2, retry_policy={"interval_start": 0, "interval_step": 0})
    assert (len(tries), ready(site)) == (4, 2)
    errors += [exceptions.ConnectionError("gone")] * 3
    with pytest.raises(OperationalError, match="gone"):
        site.send("number", 3, retry_policy={"max_retries": 0})
    assert (len(tries), ready(site)) == (6, 2)


def test_a_send_that_failed_otherwise_is_not_tried_again(site, refusals):
    errors, tries = refusals
    site.send("number", 1)
    errors += [RuntimeError("a soft time limit, after the message had gone")]
    with pytest.raises(RuntimeError):
        site.send("number", 2)
    assert (len(tries), ready(site)) == (2, 1)


def test_a_producer_whose_connection_was_closed_sends_over_a_new_channel(site):
    site.send("number", 1)
    with site.app.producer_pool.acquire(block=True) as producer:
        assert "revive" in vars(producer)
        before = producer.channel
        producer.connection.close()
    site.send("number", 2)
    with site.app.producer_pool.acquire(block=True) as producer:
        assert producer.channel is not before and producer.exchange.channel is producer.channel
    assert ready(site) == 2


def test_a_producer_that_gets_another_connection_sends_over_that_one(site):
    site.send("number", 1)
    with site.app.producer_pool.acquire(block=True) as producer:
        first = producer.channel
        with site.app.connection_for_write() as other:
            assert other.default_channel is not first
            producer.revive(other)
            assert producer.channel is other.default_channel
            assert producer.exchange.channel is producer.channel
            producer.publish("to nobody", routing_key="elsewhere", declare=[site.app.amqp.queues["celery"]])


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_record_is_read_as_it_was_written_whatever_types_it_has(site, serializer):
    site.app.conf.result_serializer, site.app.conf.accept_content = serializer, [serializer]
    backend = type(site.app.backend)(app=site.app, url=site.url)
    value = {"when": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc), "id": uuid.uuid4(), "text": "ä"}
    for result in (value, [1.5, None, "x"], {"__type__": "mine"}):
        name = str(uuid.uuid4())
        backend.store_result(name, result, states.SUCCESS)
        assert backend.get_task_meta(name)["result"] == result


def test_json_that_is_not_accepted_is_refused(site):
    site.app.conf.result_accept_content = ["pickle"]
    backend = type(site.app.backend)(app=site.app, url=site.url)
    with pytest.raises(ContentDisallowed):
        backend.decode(b'{"status": "SUCCESS"}')


def test_a_result_that_found_no_connection_is_stored_by_the_next_try(site, monkeypatch):
    backend = site.app.backend
    store, errors = backend._set, [exceptions.ConnectionError("gone")]

    def refuse_once(*args):
        if errors:
            raise errors.pop()
        return store(*args)

    monkeypatch.setattr(backend, "_set", refuse_once)
    backend.store_result("a-task", 7, states.SUCCESS)
    assert backend.get_task_meta("a-task")["result"] == 7
    assert 0 < site.app.backend.client.ttl(backend.get_key_for_task("a-task")) <= backend.expires
