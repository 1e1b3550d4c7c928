"""The small tools: commands with a time limit, steps, ports, certificates, the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hack.cluster import __main__ as command_line
from hack.cluster import bringup, console, daemons, debian, kubeconfig, operator_release, pki, shell
from hack.cluster.providers.base import ProviderError


def test_a_failing_command_shows_the_end_of_what_it_said(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    script = "seq 100; echo the reason >&2; exit 3"
    with pytest.raises(shell.CommandError) as caught:
        shell.run(["sh", "-c", script], timeout=10, log=log)
    message = str(caught.value)
    assert "exit code 3" in message
    assert "| the reason" in message
    assert "| 1\n" not in message
    assert str(log) in message
    assert "the reason" in log.read_text()


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with pytest.raises(shell.CommandError, match=r"not done after 0\.3 s"):
        shell.run(["sh", "-c", f"sleep 600 & echo $! > {note}; wait"], timeout=0.3)
    child = int(note.read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_missing_command_is_named() -> None:
    with pytest.raises(shell.CommandError, match="no-such-program: not found"):
        shell.run(["no-such-program"], timeout=5)


def test_input_output_and_environment_of_a_command() -> None:
    result = shell.run(["sh", "-c", "cat; echo $EXTRA >&2"], timeout=10, stdin="in", env={"EXTRA": "more"})
    assert (result.stdout, result.stderr) == ("in", "more\n")
    assert shell.run(["false"], timeout=10, check=False).returncode == 1


def test_a_step_says_what_it_did_and_how_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with console.step("Build it", "2 min") as step:
        step.done("cached")
    with pytest.raises(ValueError, match="no"), console.step("Break it"):
        raise ValueError("no")
    with pytest.raises(KeyboardInterrupt), console.step("Stop it"):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert "Build it (usually 2 min)" in said
    assert "Build it: cached, 0.0 s" in said
    assert "Break it: FAILED" in said
    assert "Stop it: interrupted" in said


def test_a_step_follows_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with console.step("Compile") as step:
        step.follow(log)
        assert step.line().startswith("Compile ... ")
        log.write_text("one\ntwo\n")
        assert step.line().endswith("[2] two")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (42.4, "42 s"), (59.7, "60 s"), (187, "3 min 07 s")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


def test_free_ports_are_different() -> None:
    assert len(set(daemons.free_ports(5))) == 5


def test_a_daemon_that_ends_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    daemon = daemons.Daemon("dying", ["sh", "-c", "echo because; exit 4"], tmp_path / "log")
    with pytest.raises(daemons.DaemonError, match=r"(?s)dying ended with code 4.*because"):
        daemons.wait_until(lambda: False, [daemon], "it", timeout=10)
    daemon.kill()


def test_a_daemon_that_never_gets_ready_is_an_error_and_can_be_killed(tmp_path: Path) -> None:
    daemon = daemons.Daemon("idle", ["sleep", "600"], tmp_path / "log")
    with pytest.raises(daemons.DaemonError, match="it is not ready"):
        daemons.wait_until(lambda: False, [daemon], "it", timeout=0)
    daemon.kill()
    with pytest.raises(daemons.DaemonError, match=f"code -{signal.SIGKILL.value}"):
        daemon.check()


def test_certificates_verify_against_their_authority_and_carry_their_names(tmp_path: Path) -> None:
    identity = pki.Identity("server", "someone", "some:group", ("DNS:localhost", "IP:10.0.0.1"))
    keys = pki.create(tmp_path / "pki", [identity])
    certificate = str(keys.certificate("server"))
    assert "OK" in shell.run(["openssl", "verify", "-CAfile", keys.ca, certificate], timeout=10).stdout
    text = shell.run(["openssl", "x509", "-in", certificate, "-noout", "-text"], timeout=10).stdout
    assert "O = some:group, CN = someone" in text
    assert "DNS:localhost, IP Address:10.0.0.1" in text
    assert "CA:FALSE" in text
    assert "BEGIN EC PRIVATE KEY" in keys.service_account_key.read_text()
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, context="here", server="https://x:1", authority=keys, identity="server")
    assert path.stat().st_mode & 0o777 == 0o600
    assert kubeconfig.current_context(path) == "here"


def test_the_operators_pods_are_replaced_when_its_image_changed() -> None:
    words = operator_release.command(Path("/bin/helm"), Path("/k"), "sophia-operator-abc")
    assert words[:4] == ["/bin/helm", "upgrade", "--install", "sophia-operator"]
    assert r"podAnnotations.sophia\.ai/image=sophia-operator-abc" in words
    assert "--wait" in words


def test_missing_packages_are_named_with_the_command_where_they_cannot_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def query(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert argv[0] == "dpkg-query"
        return subprocess.CompletedProcess(argv, 1, "nftables installed\nconntrack config-files\n", "")

    monkeypatch.setattr(shell, "run", query)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    debian.ensure(["nftables"], why="by a test")
    with pytest.raises(debian.PackagesMissingError, match=r"by a test: conntrack, kmod\. Run as root: apt-get install"):
        debian.ensure(["nftables", "conntrack", "kmod"], why="by a test")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ProviderError("set CLUSTER"), 1, "error: set CLUSTER"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (None, 0, ""),
    ],
)
def test_expected_errors_become_a_message_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException | None,
    code: int,
    said: str,
) -> None:
    def verb() -> None:
        if raised:
            raise raised

    monkeypatch.setattr(bringup, "down", verb)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert command_line.main(["down"]) == code
    assert said in capsys.readouterr().err


def test_the_flags_of_up_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, bool]] = []
    monkeypatch.setattr(bringup, "up", lambda **flags: asked.append(flags))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    command_line.main(["up"])
    command_line.main(["up", "--without-platform", "--without-operator"])
    assert asked == [
        {"with_platform": True, "with_operator": True},
        {"with_platform": False, "with_operator": False},
    ]


def test_an_unknown_program_is_refused_with_the_names_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert command_line.main(["binaries", "kubectx"]) == 1
    assert "no program kubectx; there are bridge" in capsys.readouterr().err
