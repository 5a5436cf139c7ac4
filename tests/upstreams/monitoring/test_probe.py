import asyncio

from upstreams.monitoring import probe


async def test_calls_run_in_parallel_up_to_a_limit():
    running, most = 0, 0

    async def call(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await probe.gather_limited(call(number) for number in range(20)) == list(range(20))
    assert most == probe.MAX_PARALLEL
