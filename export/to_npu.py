"""Compiles an exported .tflite file for the NPUs of phones, ahead of time.

    python export/to_npu.py pose_model.tflite --target qualcomm:SM8750
    python export/to_npu.py pose_model.tflite --target qualcomm google_tensor:Tensor_G5 \\
        --ai-pack pose_npu

First export a model (export/to_tflite.py --int8; float16 and int16x8 files can be
compiled, too). Every file gets its contract and hash; the report, printed and in
npu_report.json, says how many operators each NPU takes and why not the rest. An AI pack is
a folder from which Google Play gives each phone its file. Compilers run on Linux (x86-64)
and need the vendor's SDK: pip install ai-edge-litert-sdk-qualcomm (-mediatek,
-google-tensor, -samsung-nightly).
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", metavar="FILE", help="exported .tflite file, with its contract")
    add("--target", nargs="+", required=True, metavar="VENDOR[:MODEL]", dest="targets",
        help="such as qualcomm:SM8750; without MODEL all of a vendor's")  # fmt: skip
    add("--output", metavar="FOLDER", help="default: npu beside the file")
    add("--ai-pack", metavar="NAME", help="write an AI pack for Google Play, too")
    add("--sdk-libs", metavar="FOLDER", help="the vendor's libraries, where they do not "
        "come from its package; for targets of one vendor")  # fmt: skip
    args = parser.parse_args(argv)
    if len({word.partition(":")[0] for word in args.targets}) > 1 and args.sdk_libs:
        parser.error("--sdk-libs is for targets of one vendor")
    if args.sdk_libs and not Path(args.sdk_libs).is_dir():
        parser.error(f"--sdk-libs must be a folder, got {args.sdk_libs}")
    if args.ai_pack and not args.ai_pack.isidentifier():
        parser.error(f"--ai-pack needs letters, digits and _, got {args.ai_pack!r}")
    return args


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # After parsing: `--help` needs none of this.
    from keras_pose.exporting.formats.npu import describe_npu, export_npu
    from keras_pose.exporting.formats.npu_tool import targets_of

    targets = [target for word in args.targets for target in targets_of(word)]
    folder = args.output or Path(args.model).parent / "npu"
    files = export_npu(
        args.model, list(dict.fromkeys(targets)), folder, args.sdk_libs, args.ai_pack
    )
    print(describe_npu(files))


if __name__ == "__main__":
    main()
