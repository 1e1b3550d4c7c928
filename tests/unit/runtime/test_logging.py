"""Logs are JSON, one object a line, and say what they are about."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging

from sophia_operator.runtime import logging as logs


def line(**extra: object) -> dict[str, object]:
    record = logging.LogRecord("sophia.test", logging.WARNING, __file__, 1, "%s is %s", ("app-2", "ü"), None)
    record.__dict__.update(extra)
    found: dict[str, object] = json.loads(logs.JsonFormatter().format(record))
    return found


def test_a_line_has_time_level_logger_and_message() -> None:
    found = line(reason="GateFailed", release="app-2", unrelated="x")
    assert found["message"] == "app-2 is ü"
    assert found["level"] == "warning"
    assert str(found["time"]).endswith("Z")
    assert (found["reason"], found["release"]) == ("GateFailed", "app-2")
    assert "unrelated" not in found


def test_a_task_and_those_it_starts_say_what_they_are_about() -> None:
    async def main() -> dict[str, object]:
        logs.about("shop", "app")

        async def child() -> dict[str, object]:
            return line()

        return await asyncio.create_task(child())

    found = contextvars.copy_context().run(lambda: asyncio.run(main()))
    assert (found["namespace"], found["service"]) == ("shop", "app")
    assert "service" not in line()


def test_the_frameworks_own_name_for_an_object_is_understood() -> None:
    found = line(k8s_ref={"namespace": "shop", "name": "app", "kind": "ManagedService"})
    assert (found["namespace"], found["service"]) == ("shop", "app")


def test_an_exception_is_one_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        found = line(exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: broken" in str(found["exception"])
