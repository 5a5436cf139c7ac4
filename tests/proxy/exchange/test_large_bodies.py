import asyncio
import threading

import pytest

from proxy.exchange.large_bodies import LARGE_BYTES, THREADS, in_thread_if_large, use_keyless_thread
from proxy.translation.errors import ClientMistake


def test_work_on_a_body_of_usual_size_is_done_without_a_switch_of_threads():
    async def call_one():
        return await in_thread_if_large(LARGE_BYTES, threading.get_ident)

    assert asyncio.run(call_one()) == threading.get_ident()


def test_work_on_a_large_body_leaves_the_event_loop_to_others():
    may_end = threading.Event()

    async def call_one():
        working = asyncio.ensure_future(in_thread_if_large(LARGE_BYTES + 1, may_end.wait, 60))
        await asyncio.sleep(0)
        may_end.set()  # if the work were done here, this line would not be reached before it ended
        return await working

    assert asyncio.run(call_one()) is True


def test_only_a_few_large_bodies_are_worked_on_at_once():
    running, most, lock = [], [], threading.Lock()

    def work(number):
        with lock:
            running.append(number)
            most.append(len(running))
        threading.Event().wait(0.01)
        with lock:
            running.remove(number)
        return number

    async def call_many():
        return await asyncio.gather(*(in_thread_if_large(LARGE_BYTES + 1, work, number) for number in range(12)))

    assert asyncio.run(call_many()) == list(range(12))
    assert max(most) <= THREADS


def test_an_error_of_the_work_reaches_the_caller():
    def refuse():
        raise ClientMistake("messages: Field required", param="messages")

    with pytest.raises(ClientMistake, match="messages: Field required"):
        asyncio.run(in_thread_if_large(LARGE_BYTES + 1, refuse))


def test_bodies_without_a_key_do_not_delay_those_with_one():
    may_end = threading.Event()

    async def work_without_key():
        use_keyless_thread()
        return await in_thread_if_large(LARGE_BYTES + 1, may_end.wait, 60)

    async def call_all():
        without_key = [asyncio.create_task(work_without_key()) for _ in range(5)]
        await asyncio.sleep(0)
        with_key = await in_thread_if_large(LARGE_BYTES + 1, str, "with a key")
        is_one_done = any(task.done() for task in without_key)
        may_end.set()
        return with_key, is_one_done, await asyncio.gather(*without_key)

    assert asyncio.run(call_all()) == ("with a key", False, [True] * 5)
