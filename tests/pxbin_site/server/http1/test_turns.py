"""Long work of many connections, one turn at a time."""

import asyncio

from pxbin_site.server.http1.turns import Turns


async def test_all_together_get_one_turn_in_each_iteration_of_the_loop() -> None:
    done: list[str] = []
    turns = Turns(asyncio.get_running_loop())

    def work(name: str, times: int) -> None:
        done.append(name)
        if times > 1:
            turns.add(lambda: work(name, times - 1))

    turns.add(lambda: work("a", 3))
    turns.add(lambda: work("b", 2))
    seen = []
    for _ in range(6):
        await asyncio.sleep(0)
        seen.append("".join(done))
    assert seen == ["a", "ab", "aba", "abab", "ababa", "ababa"]
    turns.add(lambda: work("c", 1))
    await asyncio.sleep(0)
    assert done[-1] == "c"


async def test_a_turn_that_fails_does_not_end_the_others() -> None:
    done: list[str] = []
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    turns = Turns(loop)
    failure = ZeroDivisionError()

    def fail() -> None:
        raise failure

    turns.add(fail)
    turns.add(lambda: done.append("next"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (failures, done) == ([failure], ["next"])
