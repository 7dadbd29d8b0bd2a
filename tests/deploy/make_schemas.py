"""Makes schemas/*.json anew: `python tests/deploy/make_schemas.py FOLDER`, when an operator's version changes.

FOLDER holds the custom resource definitions (*.yaml, *.yml) of the Flink Kubernetes Operator, Strimzi (KafkaTopic, KafkaUser) and the
Prometheus Operator (PodMonitor, PrometheusRule), and `_definitions.json` of a Kubernetes version, as the package kubernetes-validate has
it. Where those here came from stands in schemas/README.md.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import yaml

SCHEMAS: Final = Path(__file__).with_name("schemas")
BUILT_IN: Final = {
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "PersistentVolumeClaim": "io.k8s.api.core.v1.PersistentVolumeClaim",
    "Role": "io.k8s.api.rbac.v1.Role",
    "RoleBinding": "io.k8s.api.rbac.v1.RoleBinding",
    "Service": "io.k8s.api.core.v1.Service",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
}
_WORTH_SHARING: Final = 500
"""Characters from which on a part that comes several times is written once."""


def main(folder: Path) -> None:
    for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
        definition = yaml.safe_load(path.read_text())
        kind = definition["spec"]["names"]["kind"]
        version = next(each for each in definition["spec"]["versions"] if each["storage"])
        schema = version["schema"]["openAPIV3Schema"]
        # The API server knows these two without being told.
        schema["properties"] |= {"apiVersion": {"const": f"{definition['spec']['group']}/{version['name']}"}, "kind": {"const": kind}}
        schema["properties"]["metadata"] = {"type": "object"}
        _write(kind, _shared(_strict(schema)))
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    for kind, name in BUILT_IN.items():
        _write(kind, _with_definitions(definitions, name))


def _strict(part: Any, name: str = "") -> Any:
    """Without texts; and with no room for fields that the API server would drop silently."""
    if isinstance(part, list):
        return [_strict(each) for each in part]
    if not isinstance(part, dict):
        return part
    if name == "properties":
        return {key: _strict(value) for key, value in part.items()}
    kept = {key: _strict(value, key) for key, value in part.items() if key not in ("description", "title", "default", "format", "example")}
    if part.get("x-kubernetes-int-or-string"):
        kept = {"type": ["integer", "string"]}
    elif part.get("properties") and "additionalProperties" not in part and not part.get("x-kubernetes-preserve-unknown-fields"):
        kept["additionalProperties"] = False
    return {key: value for key, value in kept.items() if not key.startswith("x-kubernetes")}


def _shared(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with its large repeated parts under $defs: a FlinkDeployment has a pod's schema three times."""
    seen: Counter[str] = Counter()

    def count(part: Any) -> None:
        for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            text = json.dumps(each, sort_keys=True)
            if isinstance(each, dict) and "type" in each and len(text) >= _WORTH_SHARING:
                seen[text] += 1
            count(each)

    count(schema)
    names = {text: f"part{number}" for number, text in enumerate(sorted(text for text, times in seen.items() if times > 1))}

    def replaced(part: Any, itself: str = "") -> Any:
        if isinstance(part, list):
            return [replaced(each) for each in part]
        if not isinstance(part, dict):
            return part
        text = json.dumps(part, sort_keys=True)
        if text in names and text != itself:
            return {"$ref": f"#/$defs/{names[text]}"}
        return {key: replaced(value) for key, value in part.items()}

    whole: dict[str, Any] = replaced(schema)
    return whole | {"$defs": {name: replaced(json.loads(text), text) for text, name in names.items()}}


def _with_definitions(definitions: dict[str, Any], name: str) -> dict[str, Any]:
    """One kind of Kubernetes' own with all that it refers to."""
    found: dict[str, Any] = {}

    def add(name: str) -> None:
        if name in found:
            return
        found[name] = _strict(definitions[name])
        for reference in _references(found[name]):
            add(reference)

    add(name)
    return {"$ref": f"#/$defs/{name}", "$defs": found}


def _references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [each for item in part for each in _references(item)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"].rpartition("/")[2]] if isinstance(part.get("$ref"), str) else []
    return own + [each for value in part.values() for each in _references(value)]


def _write(kind: str, schema: dict[str, Any]) -> None:
    (SCHEMAS / f"{kind}.json").write_text(json.dumps(schema, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
