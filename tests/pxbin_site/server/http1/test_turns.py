"""Long work of many connections, one turn at a time."""

import asyncio

from pxbin_site.server.http1.turns import Turns


async def test_all_together_get_one_turn_in_each_iteration_of_the_loop() -> None:
    turns_taken: list[str] = []
    turns = Turns(asyncio.get_running_loop())

    def work(name: str, times: int) -> None:
        turns_taken.append(name)
        if times > 1:
            turns.add(lambda: work(name, times - 1))

    turns.add(lambda: work("a", 3))
    turns.add(lambda: work("b", 2))
    after_each_iteration = []
    for _ in range(6):
        await asyncio.sleep(0)
        after_each_iteration.append("".join(turns_taken))
    assert after_each_iteration == ["a", "ab", "aba", "abab", "ababa", "ababa"]
    turns.add(lambda: work("c", 1))
    await asyncio.sleep(0)
    assert turns_taken[-1] == "c"


async def test_a_turn_that_fails_does_not_end_the_others() -> None:
    turns_taken: list[str] = []
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    turns = Turns(loop)
    failure = ZeroDivisionError()

    def fail() -> None:
        raise failure

    turns.add(fail)
    turns.add(lambda: turns_taken.append("next"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (failures, turns_taken) == ([failure], ["next"])
