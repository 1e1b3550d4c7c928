"""`python -m hack.generate.manifests` renders the chart into `manifests/base`, for those who use kustomize.

With `--check` it writes nothing and fails with a diff if the folder is stale. It needs helm, which the cluster tools
provide, so it is a command of its own. The CRDs in the folder are written by `python -m hack.generate`.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from hack.cluster import binaries

ROOT: Final = Path(__file__).resolve().parents[2]
BASE: Final = Path("manifests/base")
NAMESPACE: Final = "sophia-system"
_HEADER: Final = "# Rendered from charts/sophia-operator by `python -m hack.generate.manifests`. Do not edit.\n"
_FILES: Final = {
    "ServiceAccount": "rbac.yaml",
    "ClusterRole": "rbac.yaml",
    "ClusterRoleBinding": "rbac.yaml",
    "Role": "rbac.yaml",
    "RoleBinding": "rbac.yaml",
    "ValidatingAdmissionPolicy": "admission.yaml",
    "ValidatingAdmissionPolicyBinding": "admission.yaml",
    "Deployment": "operator.yaml",
    "Service": "operator.yaml",
}
#: Lines that only Helm reads.
_OF_HELM: Final = re.compile(
    r"^\s*(helm\.sh/chart:.*|app\.kubernetes\.io/managed-by: Helm|# Source: .*)\n", re.MULTILINE
)
_NAMESPACE: Final = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def render_chart() -> str:
    """What helm makes of the chart with its default values. Raises CalledProcessError; helm's words go to stderr."""
    program = binaries.ensure(["helm"]) / "helm"
    chart = ROOT / "charts/sophia-operator"
    command = [str(program), "template", "sophia-operator", str(chart), "--namespace", NAMESPACE]
    command += ["--set", "crds.install=false"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout


def outputs(rendered: str) -> dict[Path, str]:
    """The files of the folder, by path from the root of the repository.

    It works on text, not on parsed objects, so that the reasons beside the rights stay. Raises KeyError for a kind
    that has no file yet.
    """
    parts: dict[str, list[str]] = {"namespace.yaml": [_NAMESPACE]}
    for document in rendered.split("\n---\n"):
        text = _OF_HELM.sub("", document.removeprefix("---\n")).strip() + "\n"
        parsed = yaml.safe_load(text)
        if parsed is not None:
            parts.setdefault(_FILES[parsed["kind"]], []).append(text)
    files = {BASE / name: _HEADER + "---\n".join(texts) for name, texts in parts.items()}
    crds = [path.relative_to(ROOT / BASE).as_posix() for path in sorted((ROOT / BASE / "crds").glob("*.yaml"))]
    files[BASE / "kustomization.yaml"] = _kustomization([*crds, *sorted(parts)])
    return files


def _kustomization(names: list[str]) -> str:
    resources = "".join(f"- {name}\n" for name in names)
    return f"{_HEADER}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}"


def drift(files: Mapping[Path, str]) -> str:
    """A unified diff from the files on disk to what they should be; empty when they agree."""
    lines: list[str] = []
    for path, text in files.items():
        present = (ROOT / path).read_text() if (ROOT / path).exists() else ""
        lines += difflib.unified_diff(
            present.splitlines(keepends=True), text.splitlines(keepends=True), f"{path} (on disk)", f"{path} (rendered)"
        )
    return "".join(lines)


def main(arguments: list[str]) -> int:
    """Return the exit code: 0 when all is well, 1 when `--check` found a difference, 2 for bad arguments."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    files = outputs(render_chart())
    difference = drift(files)
    print(difference, end="")
    if arguments and difference:
        print("Rendered manifests are stale: run `python -m hack.generate.manifests`.", file=sys.stderr)
        return 1
    for path, text in files.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
