"""Names of CVNets. Source: apple/ml-cvnets at 7771756 (v1, v2) and micronDLA/MobileViTv3 at d381beb on d38a116 and 84d992f."""

from mvsearch.export.names.naming import Block, Naming

CVNETS = Naming(
    title="CVNets",
    roots=("", ""),
    stem="conv_1",
    residual="layer_{stage}.{i}.block",
    downsampling="layer_{stage}.0.block",
    block="layer_{stage}.1",
    final_conv="conv_1x1_exp",
    classifiers=("classifier.fc", "classifier.1"),
    conv="block.conv",
    norm="block.norm",
    in_residual={"conv1_1x1": "exp_1x1", "conv2_kxk": "conv_3x3", "conv3_1x1": "red_1x1"},
    softmax=Block(
        conv_kxk="local_rep.conv_3x3",
        conv_1x1="local_rep.conv_1x1",
        transformer="global_rep.{i}",
        layer={
            "norm1": "pre_norm_mha.0",
            "attn.qkv": "pre_norm_mha.1.qkv_proj",
            "attn.proj": "pre_norm_mha.1.out_proj",
            "norm2": "pre_norm_ffn.0",
            "mlp.fc1": "pre_norm_ffn.1",
            "mlp.fc2": "pre_norm_ffn.4",
        },
        norm="global_rep.{depth}",
        conv_proj="conv_proj",
        conv_fusion="fusion",
    ),
    separable=Block(
        conv_kxk="local_rep.0",
        conv_1x1="local_rep.1",
        transformer="global_rep.{i}",
        layer={
            "norm1": "pre_norm_attn.0",
            "attn.qkv_proj": "pre_norm_attn.1.qkv_proj.block.conv",
            "attn.out_proj": "pre_norm_attn.1.out_proj.block.conv",
            "norm2": "pre_norm_ffn.0",
            "mlp.fc1": "pre_norm_ffn.1.block.conv",
            "mlp.fc2": "pre_norm_ffn.3.block.conv",
        },
        norm="global_rep.{depth}",
        conv_proj="conv_proj",
    ),
)
