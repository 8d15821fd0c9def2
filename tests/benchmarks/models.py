"""Which public models are read and verified: python tests/benchmarks/models.py [--eval] [PART OF A NAME …]

Of torchvision, timm and transformers, with random weights and small inputs, each in training mode: `check_model`
compares outputs, every gradient and every buffer with the model's own. A line for each, with the reason where one is
not read or not within bound. Needs `pip install --no-deps torchvision==0.28.0 timm transformers` and what these import.
"""

import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from reference import check_model

warnings.simplefilter("ignore")  # these packages warn of what they will change
sys.modules["torchvision._meta_registrations"] = types.ModuleType("none")  # its compiled part may be of another torch

Made = tuple[torch.nn.Module, tuple, dict[str, Any]]  # a model, and what it is called with


def images(size: int = 64, batch: int = 2) -> tuple:
    return (torch.randn(batch, 3, size, size),)


def torchvision(name: str, size: int = 64, place: str = "", **options: Any) -> Callable[[], Made]:
    def make() -> Made:
        import torchvision.models as models

        for part in filter(None, place.split(".")):
            models = getattr(models, part)
        return getattr(models, name)(num_classes=4, **options), images(size), {}

    return make


def timm(name: str, size: int = 64, **options: Any) -> Callable[[], Made]:
    def make() -> Made:
        from timm import create_model

        return create_model(name, pretrained=False, num_classes=4, **options), images(size), {}

    return make


def language(cls: str, config: str, **options: Any) -> Callable[[], Made]:
    """A transformer over 2 × 8 words."""

    def make() -> Made:
        import transformers

        wanted = {k: v for k, v in (SMALL | options).items() if v is not None}
        made = getattr(transformers, config)(**wanted)
        made._attn_implementation = "eager"
        return getattr(transformers, cls)(made), (), {"input_ids": torch.randint(2, 30, (2, 8))}

    return make


SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 30,
    "max_position_embeddings": 32, "use_cache": False, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip
VISION = {"weights": None}
SEGMENT = {"weights": None, "weights_backbone": None, "place": "segmentation"}
UNBOUNDED = {"max_position_embeddings": None}  # of a model without a longest text
GROUPED = {"num_key_value_heads": 1}
TV = (
    "resnet18 resnet50 resnext50_32x4d densenet121 mobilenet_v2 mobilenet_v3_small shufflenet_v2_x0_5 "
    "squeezenet1_1 mnasnet0_5 efficientnet_b0 regnet_y_400mf regnet_x_400mf convnext_tiny"
)
TIMM = (
    "resnet10t resnet18d seresnet18 ecaresnet26t res2net50_26w_4s mobilenetv3_small_050 mobilenetv4_conv_small "
    "efficientnet_lite0 tf_efficientnet_b0 ghostnet_050 rexnet_100 convnext_atto convnextv2_atto regnetx_002 repvgg_a0 "
    "dla34 hardcorenas_a mixnet_s edgenext_xx_small fastvit_t8 poolformer_s12 hrnet_w18_small cspresnet50 nf_regnet_b0 "
    "xcit_nano_12_p16_224 pvt_v2_b0 mobilevit_xxs mobileone_s0 starnet_s1 inception_next_atto tinynet_e lcnet_050 "
    "repghostnet_050 selecsls42 vovnet39a ese_vovnet19b_dw gernet_s skresnet18 resnest14d lambda_resnet26t "
    "twins_svt_small"
)
SIZED = (  # those that are told the size of their images
    "vit_tiny_patch16_224 deit_tiny_patch16_224 cait_xxs24_224 mixer_s32_224 gmlp_ti16_224 resmlp_12_224 "
    "coat_lite_tiny visformer_tiny pit_ti_224 nest_tiny swin_tiny_patch4_window7_224"
)

MODELS: dict[str, Callable[[], Made]] = {
    **{f"torchvision {n}": torchvision(n, **VISION) for n in TV.split()},
    "torchvision googlenet": torchvision("googlenet", init_weights=False, aux_logits=False, **VISION),
    "torchvision VisionTransformer": torchvision(
        "VisionTransformer", 32, image_size=32, patch_size=16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32
    ),
    "torchvision SwinTransformer": torchvision(
        "SwinTransformer", 32, patch_size=[4, 4], embed_dim=12, depths=[2, 2], num_heads=[2, 2], window_size=[4, 4]
    ),
    "torchvision fcn_resnet50": torchvision("fcn_resnet50", 32, **SEGMENT),
    "torchvision deeplabv3_mobilenet": torchvision("deeplabv3_mobilenet_v3_large", **SEGMENT),
    "torchvision lraspp_mobilenet": torchvision("lraspp_mobilenet_v3_large", **SEGMENT),
    **{f"timm {n}": timm(n) for n in TIMM.split()},
    **{f"timm {n}": timm(n, img_size=64) for n in SIZED.split()},
    "transformers bert": language("BertModel", "BertConfig"),
    "transformers bert, masked words": language("BertForMaskedLM", "BertConfig"),
    "transformers roberta": language("RobertaModel", "RobertaConfig"),
    "transformers electra": language("ElectraModel", "ElectraConfig", embedding_size=16),
    "transformers distilbert": language(
        "DistilBertModel", "DistilBertConfig", dim=16, n_layers=2, n_heads=2, hidden_dim=32
    ),
    "transformers gpt2": language("GPT2LMHeadModel", "GPT2Config", n_embd=16, n_layer=2, n_head=2, n_positions=32),
    "transformers gpt_neo": language(
        "GPTNeoForCausalLM", "GPTNeoConfig", num_layers=2, attention_types=[[["global", "local"], 1]], num_heads=2,
        window_size=4,
    ),
    "transformers gpt_neox": language("GPTNeoXForCausalLM", "GPTNeoXConfig"),
    "transformers llama": language("LlamaForCausalLM", "LlamaConfig", **GROUPED),
    "transformers mistral": language("MistralForCausalLM", "MistralConfig", sliding_window=4, **GROUPED),
    "transformers qwen2": language("Qwen2ForCausalLM", "Qwen2Config", **GROUPED),
    "transformers gemma": language("GemmaForCausalLM", "GemmaConfig", head_dim=8, **GROUPED),
    "transformers phi": language("PhiForCausalLM", "PhiConfig"),
    "transformers opt": language("OPTForCausalLM", "OPTConfig", ffn_dim=32, word_embed_proj_dim=16),
    "transformers bloom": language("BloomForCausalLM", "BloomConfig", n_layer=2, n_head=2),
    "transformers albert": language("AlbertModel", "AlbertConfig", embedding_size=16),
    "transformers mobilebert": language(
        "MobileBertModel", "MobileBertConfig", embedding_size=16, intra_bottleneck_size=16
    ),
    "transformers deberta_v2": language("DebertaV2Model", "DebertaV2Config"),
    "transformers xlnet": language(
        "XLNetModel", "XLNetConfig", d_model=16, n_layer=2, n_head=2, d_inner=32, **UNBOUNDED
    ),
    "transformers fnet": language("FNetModel", "FNetConfig"),
    "transformers t5 encoder": language(
        "T5EncoderModel", "T5Config", d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    ),
    "transformers clip text": language("CLIPTextModel", "CLIPTextConfig", projection_dim=16),
    "transformers rwkv": language("RwkvForCausalLM", "RwkvConfig", context_length=16),
    "transformers mamba": language("MambaForCausalLM", "MambaConfig", state_size=4),
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One model: was it read, is it verified, and why not."""

    name: str
    read: bool
    verified: bool
    nodes: int
    ratio: float
    power: float | None
    seconds: float
    reason: str = ""


def tried(name: str, training: bool) -> Line:
    torch.manual_seed(0)
    start = time.perf_counter()
    model, args, kwargs = MODELS[name]()
    try:
        report = check_model(model.train(training), *args, **kwargs)
    except (TypeError, ValueError) as e:
        return Line(name, False, False, 0, 0.0, None, time.perf_counter() - start, " ".join(str(e).split())[:300])
    wrong = ", ".join(t.name for t in report.tensors if not t.ok)[:100]
    reason = f"{report.culprit}; {wrong}" if wrong else report.verdict * (not report)
    taken = time.perf_counter() - start
    return Line(name, True, bool(report), len(report.graph.layers), report.ratio, report.power, taken, reason)


def lines(parts: list[str], training: bool) -> Iterator[Line]:
    for name in MODELS:
        if not parts or any(part in name for part in parts):
            try:
                yield tried(name, training)
            except Exception as e:  # a model that its own package no longer makes, or takes no such size
                yield Line(name, False, False, 0, 0.0, None, 0.0, f"not made: {type(e).__name__} {str(e)[:200]}")


def main() -> None:
    parts = [a for a in sys.argv[1:] if not a.startswith("--")]
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    found: list[Line] = []
    for line in lines(parts, "--eval" not in sys.argv):
        found.append(line)
        print(f"{line.name}: {'verified' if line.verified else line.reason} ({line.seconds:.1f} s)", flush=True)
    table = Table("model", "nodes", "read", "verified", "err/bound", "power", "s", "reason")
    for x in found:
        power = "–" if x.power is None else f"{x.power:.0e}"
        marks = ("✓" if x.read else "✗", "✓" if x.verified else "✗")
        table.add_row(x.name, str(x.nodes), *marks, f"{x.ratio:.2g}", power, f"{x.seconds:.1f}", x.reason[:90])
    Console(width=200).print(table)
    good = sum(x.verified for x in found)
    print(f"{len(found)} models, {sum(x.read for x in found)} read, {good} verified ({good / max(len(found), 1):.0%})")


if __name__ == "__main__":
    main()
