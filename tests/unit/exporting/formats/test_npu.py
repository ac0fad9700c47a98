"""Files for NPUs: what the compilers said on a machine that had one, played back.

`SAID` is what `apply_plugin_main` of ai-edge-litert 2.3.0 printed on Linux (x86-64),
shortened: with Qualcomm's libraries (QAIRT 2.51; of another file: the operator and the
numbers are this one's), and without SDKs for the others.
"""

import dataclasses
import json
import re
import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from says import Says

from keras_pose.contracts import read_contract
from keras_pose.contracts.entries import CONTRACT_NAME
from keras_pose.exporting.errors import ExportError
from keras_pose.exporting.formats import npu, npu_tool
from keras_pose.exporting.formats.embedding import replace_contract
from keras_pose.exporting.formats.npu import describe_npu, export_npu
from keras_pose.exporting.formats.npu_tool import Target, sdk_libraries, targets_of
from keras_pose.exporting.inspection.audit import with_audit
from keras_pose.files import file_sha256
from keras_pose.modelfiles.embedded import extract
from keras_pose.modelfiles.tflite_model import TFLiteModel
from keras_pose.runtime.litert_backend import LiteRTBackend

ROOT = Path(__file__).resolve().parents[4]
SHIPPED = ROOT / "keras_pose" / "shipped" / "pose_lite_224x160_int8.tflite"
SNAPDRAGON = Target("qualcomm", "SM8750")
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="ai-edge-litert has compilers for Linux"
)
SAID = {
    "Qualcomm": """\
INFO: [compiler_plugin.cc:948] Applying plugin with SDK version: v2.51.0.260929181845
ERROR: [qnn_compose_graph.cc:1722]
QNN op validation failed: 'ElementWiseNeuron_4' (type=ElementWiseNeuron, \
operation=ReluMinMax)
  Inputs:
    [0] name="4_qnn" dtype=QNN_DATATYPE_SFIXED_POINT_16 dims=[1,112,80,32] per-tensor-quant
ERROR: [qnn_compiler_plugin.cc:538]
LiteRT Op #1 'Conv2d' (code=3) is not supported in Qualcomm Compiler.
  Inputs:
    [0] name="t0"  tensor_idx=1
INFO: [compiler_plugin.cc:742] Partitioned subgraph<0>, selected 74 ops, \
from a total of 75 ops. resulted in 2 partitions.
""",
    "MediaTek": """\
INFO: [neuron_adapter_api.cc:309] libneuron_sys_util.mtk.so not found
ERROR: [neuron_adapter_api.cc:65] Failed to load NeuronAdapter shared library
ERROR: [apply_plugin.cc:455] ERROR: [litert/compiler/plugin/compiler_plugin.cc:483]
""",
    "Google": """\
ERROR: [adapter_aot.cc:78] Failed to load Tensor TPU compiler library: \
liblitert_plugin_compiler.so: cannot open shared object file: No such file or directory
ERROR: [apply_plugin.cc:455] ERROR: [litert/compiler/plugin/compiler_plugin.cc:483]
""",
    # Qualcomm's, of an int4 file.
    "int4": """\
     0.0ms [ ERROR ]   <E> unexpected GraphHtpSettings option 66
     0.0ms [ ERROR ]   <E> Op Dequantize does not support per-channel quant tensor
     0.0ms [ ERROR ]   <E> Failed to construct common node for graph 256
ERROR: [apply_plugin.cc:455] ERROR: [litert/compiler/plugin/compiler_plugin.cc:504]
     0.0ms [  INFO ]  c_interface.cc:232:Closing environment: 0x56439216e9d0
""",
    "Samsung": """\
└ Could not load shared library /vendors/samsung/libLiteRtCompilerPlugin_Samsung.so: \
/vendors/samsung/libLiteRtCompilerPlugin_Samsung.so: undefined symbol: _ZN11flatbuffers
[LITERT_TOOLS:APPLY] 	Failed
""",
}


class PlayedTool:
    """The compiler, as far as it was recorded; keeps what it was asked.

    Attributes:
        asked: flags of each call.
        change: last step on the compiled file's tables.
    """

    def __init__(self, change=lambda model: None):
        self.asked = []
        self.change = change

    def __call__(self, arguments, environment):
        flags = dict(each[2:].split("=", 1) for each in arguments[1:])
        self.asked.append({**flags, "LD_LIBRARY_PATH": environment["LD_LIBRARY_PATH"]})
        printed = SAID[flags["soc_manufacturer"]]
        if "Partitioned" not in printed:
            return 6, printed
        Path(flags["o"]).write_bytes(self._compiled(Path(flags["model"]).read_bytes()))
        return 0, printed

    def _compiled(self, content):
        model = TFLiteModel.read(content)
        graph, (left,) = model.graph, (model.graph.operators[1],)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = b"DISPATCH_OP"
        model.tables.operatorCodes.append(code)
        taken = schema.OperatorT()
        taken.opcodeIndex = len(model.tables.operatorCodes) - 1
        taken.inputs, taken.outputs = graph.inputs, graph.outputs
        place = {"name": "qnn_partition_0", "bytecode_offset": 8, "bytecode_size": 100}
        options = bytes(flexbuffers.Dumps(place))
        taken.customOptions = np.frombuffer(options, np.uint8)
        graph.operators = [taken, left]
        self.change(model)
        return model.to_bytes()


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "exported"
    folder.mkdir()
    shutil.copyfile(SHIPPED, folder / "pose.tflite")  # its contract is inside
    return folder / "pose.tflite"


def compile_it(source, targets=(SNAPDRAGON,), tool=None, **options):
    folder = source.parent / "npu"
    tool = tool or PlayedTool()
    return export_npu(source, targets, folder, source.parent, run=tool, **options)


def unaudited(path):
    """The contract of a file, but for what phones should take of it as it is."""
    return dataclasses.replace(read_contract(path), operator_audit=())


def test_a_compiled_file_has_contract_hash_and_report(source):
    tool = PlayedTool()
    (made,) = compile_it(source, tool=tool)

    assert made.path.name == "pose_qualcomm_SM8750.tflite"
    reason = "not supported in Qualcomm Compiler (ElementWiseNeuron, ReluMinMax)"
    assert made.left == ((f"CONV_2D: {reason}", 1),)
    assert (made.report.taken, made.report.operators, made.report.partitions) == (74, 75, 2)
    assert read_contract(made.path) == unaudited(source)
    beside = json.loads(made.path.with_name(CONTRACT_NAME).read_text())
    entry = beside["models"][made.path.name]
    assert entry["compiled_for"] == {
        "manufacturer": "Qualcomm",
        "soc_model": "SM8750",
        "source_sha256": file_sha256(source),
    }
    rules = json.loads((ROOT / "keras_pose/contracts/pose_model.schema.json").read_text())
    jsonschema.validate(beside, rules)
    (reported,) = json.loads((made.path.parent / npu.REPORT_NAME).read_text())["targets"]
    assert reported["sha256"] == file_sha256(made.path)
    assert reported["operators_taken"] == 74
    assert reported["sdk"] == "v2.51.0.260929181845"
    assert "takes 74 of 75 operators in 2 partitions" in describe_npu([made])
    (asked,) = tool.asked
    assert (asked["cmd"], asked["soc_model"]) == ("apply", "SM8750")
    assert asked["LD_LIBRARY_PATH"].startswith(str(source.parent))


def test_the_contract_travels_inside_a_compiled_file(source, tmp_path):
    (made,) = compile_it(source)
    alone = tmp_path / "alone.tflite"
    shutil.copyfile(made.path, alone)
    assert extract(alone)["compiled_for"]["soc_model"] == "SM8750"
    assert read_contract(alone) == unaudited(source)
    with Says(
        "alone.tflite is compiled for a phone's NPU and runs only there",
        do="Measure the file that it was compiled from.",
    ).refuses():
        LiteRTBackend(alone)
    with Says("is compiled already, for", do="Compile the exported file.").refuses():
        compile_it(alone)


def test_a_compiled_file_says_nothing_of_accelerators_of_its_source(source):
    replace_contract(source, with_audit(read_contract(source), source))
    assert read_contract(source).operator_audit
    (made,) = compile_it(source)
    assert read_contract(made.path).operator_audit == ()
    assert "operator_audit" not in extract(made.path)


def test_an_ai_pack_has_a_file_for_each_phone_and_one_for_all_others(source):
    targets = [SNAPDRAGON, Target("qualcomm", "SA8295")]  # the second is of cars
    (made, _) = compile_it(source, targets, ai_pack="pose_npu")
    pack = made.path.parent / "pose_npu"
    files = {path.parent.name: path for path in pack.rglob("*.tflite")}
    assert set(files) == {"model#group_Qualcomm_SM8750", "model#group_other"}
    assert {path.name for path in files.values()} == {"pose.tflite"}
    assert files["model#group_other"].read_bytes() == source.read_bytes()
    for path in files.values():
        assert unaudited(path) == unaudited(source)
    assert 'model="SM8750"' in (pack / "device_targeting_configuration.xml").read_text()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("mediatek:MT6991", "Failed to load NeuronAdapter shared library"),
        ("google_tensor:Tensor_G5", "Failed to load Tensor TPU compiler library: lib"),
        ("samsung:E9965", "undefined symbol: _ZN11flatbuffers"),
    ],
)
def test_a_target_that_refuses_is_named_with_the_reason(source, target, reason):
    with pytest.raises(ExportError, match=re.escape(f"for {target}: ") + ".*" + reason):
        compile_it(source, targets_of(target))
    assert not list((source.parent / "npu").glob("*.tflite"))
    made = compile_it(source, [*targets_of(target), SNAPDRAGON])
    assert [each.path is None for each in made] == [True, False]
    assert f"{target}: nothing written. " in describe_npu(made)
    reported = json.loads((source.parent / "npu" / npu.REPORT_NAME).read_text())
    assert reason in reported["targets"][0]["error"]


def test_the_first_reason_is_the_one_that_is_told(source):
    def refuse(arguments, environment):
        return 3, SAID["int4"]

    with Says(
        "for qualcomm:SM8750: Op Dequantize does not support per-channel quant tensor",
        do="Compile an int8 or float16 file for this processor.",
    ).refuses():
        compile_it(source, tool=refuse)


def test_a_damaged_file_does_not_get_its_name(source):
    def no_code(model):
        model.graph.operators = model.graph.operators[1:]

    def another_scale(model):
        model.graph.tensors[model.graph.outputs[0]].quantization.scale = np.float32([2])

    with Says(
        "No target takes pose.tflite: ... takes none of its operators",
        do="Compile an int8 or float16 file; what the compiler says is in npu_report.json.",
    ).refuses():
        compile_it(source, tool=PlayedTool(no_code))
    with pytest.raises(ExportError, match="has other inputs and outputs"):
        compile_it(source, tool=PlayedTool(another_scale))
    assert not list((source.parent / "npu").glob("*.tflite"))


def test_without_sdk_the_package_to_install_is_named(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert_sdk_qualcomm", None)
    with Says(
        "Compiling for qualcomm needs its SDK ... pip install ai-edge-litert-sdk-qualcomm",
        do="Install the package where the vendor's server can be reached.",
    ).refuses():
        export_npu(source, [SNAPDRAGON], source.parent / "npu")
    assert not (source.parent / "npu").exists()


def test_a_package_without_sdk_is_not_taken_for_one(monkeypatch, tmp_path):
    # What pip leaves, and calls installed, where the vendor cannot be reached.
    empty = SimpleNamespace(path_to_sdk_libs=lambda: None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert_sdk_mediatek", empty)
    with Says(
        "ai-edge-litert-sdk-mediatek is installed, but holds no SDK",
        do="Install it again (--no-cache-dir) where the vendor's server is in reach.",
    ).refuses():
        sdk_libraries("mediatek")
    empty.path_to_sdk_libs = lambda: tmp_path
    assert sdk_libraries("mediatek") == tmp_path


def test_a_vendor_stands_for_all_its_processors():
    models = [target.soc_model for target in targets_of("qualcomm")]
    assert "SM8750" in models
    assert npu_tool.ALL not in models
    assert targets_of("qualcomm:SM8750") == [SNAPDRAGON]
    for vendor in npu_tool.VENDORS:
        target = targets_of(vendor)[-1]
        assert str(npu_tool.backend_of(target).soc_model) == target.soc_model


def test_wrong_options(source, capsys):
    script = ROOT / "export" / "to_npu.py"
    main = runpy.run_path(str(script), run_name="to_npu")["main"]
    target = ["--target", "qualcomm:SM8750"]
    for words, text in (
        ([str(source)], "arguments are required: --target"),
        ([str(source), *target, "mediatek", "--sdk-libs", "."], "targets of one vendor"),
        ([str(source), *target, "--sdk-libs", str(source)], "--sdk-libs must be a folder"),
        ([str(source), *target, "--ai-pack", "a b"], "--ai-pack needs letters"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert text in capsys.readouterr().err
    with Says(
        "A target is VENDOR or VENDOR:MODEL with a vendor of",
        do="Name a vendor of the list, such as qualcomm:SM8750.",
    ).refuses():
        main([str(source), "--target", "apple"])
    with Says(
        "compiles for these of qualcomm: ... got 'SM1'",
        do="Take a processor of the list, or a newer ai-edge-litert.",
    ).refuses():
        main([str(source), "--target", "qualcomm:SM1"])
    with Says("NPUs' compilers take .tflite files", do="Export it to TFLite.").refuses():
        main(["pose.onnx", *target])
