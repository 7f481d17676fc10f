"""Names of transformers' MobileViT and MobileViTV2. Source: transformers 5.23.0, `models/mobilevit` and `models/mobilevitv2`.

A network that has v1's blocks anywhere begins its names with `mobilevit`.
"""

from mvsearch.export.names.naming import Block, Naming

TRANSFORMERS = Naming(
    title="transformers",
    roots=("mobilevitv2", "mobilevit"),
    stem="{root}.conv_stem",
    residual="{root}.encoder.layer.{index}.layer.{i}",
    downsampling="{root}.encoder.layer.{index}.downsampling_layer",
    block="{root}.encoder.layer.{index}",
    final_conv="{root}.conv_1x1_exp",
    classifiers=("classifier", "classifier"),
    conv="convolution",
    norm="normalization",
    in_residual={"conv1_1x1": "expand_1x1", "conv2_kxk": "conv_3x3", "conv3_1x1": "reduce_1x1"},
    softmax=Block(
        conv_kxk="conv_kxk",
        conv_1x1="conv_1x1",
        transformer="transformer.layer.{i}",
        layer={
            "norm1": "layernorm_before",
            "attn.qkv": tuple(f"attention.attention.{part}" for part in ("query", "key", "value")),
            "attn.proj": "attention.output.dense",
            "norm2": "layernorm_after",
            "mlp.fc1": "intermediate.dense",
            "mlp.fc2": "output.dense",
        },
        norm="layernorm",
        conv_proj="conv_projection",
        conv_fusion="fusion",
    ),
    separable=Block(
        conv_kxk="conv_kxk",
        conv_1x1="conv_1x1",
        transformer="transformer.layer.{i}",
        layer={
            "norm1": "layernorm_before",
            "attn.qkv_proj": "attention.qkv_proj.convolution",
            "attn.out_proj": "attention.out_proj.convolution",
            "norm2": "layernorm_after",
            "mlp.fc1": "ffn.conv1.convolution",
            "mlp.fc2": "ffn.conv2.convolution",
        },
        norm="layernorm",
        conv_proj="conv_projection",
    ),
)
