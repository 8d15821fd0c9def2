"""PyTorch's layers, losses and optimizers with every backward pass derived and written by hand in NumPy.

    from manualbp import Linear, Sequential, Tanh

Each file is named as the one in torch/nn/modules that it can be read beside. A new class is one more line here.
"""

from . import base, checkpoint, operations, optim, training
from .activation import CELU as CELU
from .activation import ELU as ELU
from .activation import GELU as GELU
from .activation import GLU as GLU
from .activation import SELU as SELU
from .activation import LogSigmoid as LogSigmoid
from .activation import Mish as Mish
from .activation import ReLU as ReLU
from .activation import Sigmoid as Sigmoid
from .activation import SiLU as SiLU
from .activation import Softplus as Softplus
from .activation import Softsign as Softsign
from .activation import Tanh as Tanh
from .activation import Tanhshrink as Tanhshrink
from .activation_piecewise import Hardshrink as Hardshrink
from .activation_piecewise import Hardsigmoid as Hardsigmoid
from .activation_piecewise import Hardswish as Hardswish
from .activation_piecewise import Hardtanh as Hardtanh
from .activation_piecewise import LeakyReLU as LeakyReLU
from .activation_piecewise import PReLU as PReLU
from .activation_piecewise import ReLU6 as ReLU6
from .activation_piecewise import RReLU as RReLU
from .activation_piecewise import Softshrink as Softshrink
from .activation_piecewise import Threshold as Threshold
from .adaptive import AdaptiveLogSoftmaxWithLoss as AdaptiveLogSoftmaxWithLoss
from .attention import MultiheadAttention as MultiheadAttention
from .base import Layer as Layer
from .base import registry as registry
from .batchnorm import BatchNorm1d as BatchNorm1d
from .batchnorm import BatchNorm2d as BatchNorm2d
from .batchnorm import BatchNorm3d as BatchNorm3d
from .batchnorm import SyncBatchNorm as SyncBatchNorm
from .channelshuffle import ChannelShuffle as ChannelShuffle
from .container import Concat as Concat
from .container import Objective as Objective
from .container import Parallel as Parallel
from .container import Repeat as Repeat
from .container import Residual as Residual
from .container import Select as Select
from .container import Sequential as Sequential
from .container import Sum as Sum
from .conv import Conv1d as Conv1d
from .conv import Conv2d as Conv2d
from .conv import Conv3d as Conv3d
from .conv_transpose import ConvTranspose1d as ConvTranspose1d
from .conv_transpose import ConvTranspose2d as ConvTranspose2d
from .conv_transpose import ConvTranspose3d as ConvTranspose3d
from .distance import CosineSimilarity as CosineSimilarity
from .distance import PairwiseDistance as PairwiseDistance
from .dropout import AlphaDropout as AlphaDropout
from .dropout import Dropout as Dropout
from .dropout import Dropout1d as Dropout1d
from .dropout import Dropout2d as Dropout2d
from .dropout import Dropout3d as Dropout3d
from .dropout import FeatureAlphaDropout as FeatureAlphaDropout
from .flatten import Flatten as Flatten
from .flatten import Unflatten as Unflatten
from .fold import Fold as Fold
from .fold import Unfold as Unfold
from .graph import Graph as Graph
from .graph import Node as Node
from .instancenorm import InstanceNorm1d as InstanceNorm1d
from .instancenorm import InstanceNorm2d as InstanceNorm2d
from .instancenorm import InstanceNorm3d as InstanceNorm3d
from .linear import Bilinear as Bilinear
from .linear import Identity as Identity
from .linear import Linear as Linear
from .loss import GaussianNLLLoss as GaussianNLLLoss
from .loss import HuberLoss as HuberLoss
from .loss import KLDivLoss as KLDivLoss
from .loss import L1Loss as L1Loss
from .loss import MSELoss as MSELoss
from .loss import PoissonNLLLoss as PoissonNLLLoss
from .loss import SmoothL1Loss as SmoothL1Loss
from .loss_class import BCELoss as BCELoss
from .loss_class import BCEWithLogitsLoss as BCEWithLogitsLoss
from .loss_class import CrossEntropyLoss as CrossEntropyLoss
from .loss_class import LinearCrossEntropyLoss as LinearCrossEntropyLoss
from .loss_class import MultiLabelSoftMarginLoss as MultiLabelSoftMarginLoss
from .loss_class import NLLLoss as NLLLoss
from .loss_ctc import CTCLoss as CTCLoss
from .loss_margin import CosineEmbeddingLoss as CosineEmbeddingLoss
from .loss_margin import HingeEmbeddingLoss as HingeEmbeddingLoss
from .loss_margin import MarginRankingLoss as MarginRankingLoss
from .loss_margin import MultiLabelMarginLoss as MultiLabelMarginLoss
from .loss_margin import MultiMarginLoss as MultiMarginLoss
from .loss_margin import SoftMarginLoss as SoftMarginLoss
from .loss_triplet import TripletMarginLoss as TripletMarginLoss
from .loss_triplet import TripletMarginWithDistanceLoss as TripletMarginWithDistanceLoss
from .normalization import CrossMapLRN2d as CrossMapLRN2d
from .normalization import GroupNorm as GroupNorm
from .normalization import LayerNorm as LayerNorm
from .normalization import LocalResponseNorm as LocalResponseNorm
from .normalization import RMSNorm as RMSNorm
from .orthogonal import Orthogonal as Orthogonal
from .padding import CircularPad1d as CircularPad1d
from .padding import CircularPad2d as CircularPad2d
from .padding import CircularPad3d as CircularPad3d
from .padding import ConstantPad1d as ConstantPad1d
from .padding import ConstantPad2d as ConstantPad2d
from .padding import ConstantPad3d as ConstantPad3d
from .padding import ReflectionPad1d as ReflectionPad1d
from .padding import ReflectionPad2d as ReflectionPad2d
from .padding import ReflectionPad3d as ReflectionPad3d
from .padding import ReplicationPad1d as ReplicationPad1d
from .padding import ReplicationPad2d as ReplicationPad2d
from .padding import ReplicationPad3d as ReplicationPad3d
from .padding import ZeroPad1d as ZeroPad1d
from .padding import ZeroPad2d as ZeroPad2d
from .padding import ZeroPad3d as ZeroPad3d
from .parametrizations import SpectralNorm as SpectralNorm
from .parametrizations import WeightNorm as WeightNorm
from .pixelshuffle import PixelShuffle as PixelShuffle
from .pixelshuffle import PixelUnshuffle as PixelUnshuffle
from .pooling import AvgPool1d as AvgPool1d
from .pooling import AvgPool2d as AvgPool2d
from .pooling import AvgPool3d as AvgPool3d
from .pooling import MaxPool1d as MaxPool1d
from .pooling import MaxPool2d as MaxPool2d
from .pooling import MaxPool3d as MaxPool3d
from .pooling_adaptive import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from .pooling_adaptive import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .pooling_adaptive import AdaptiveAvgPool3d as AdaptiveAvgPool3d
from .pooling_adaptive import AdaptiveMaxPool1d as AdaptiveMaxPool1d
from .pooling_adaptive import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from .pooling_adaptive import AdaptiveMaxPool3d as AdaptiveMaxPool3d
from .pooling_fractional import FractionalMaxPool2d as FractionalMaxPool2d
from .pooling_fractional import FractionalMaxPool3d as FractionalMaxPool3d
from .pooling_power import LPPool1d as LPPool1d
from .pooling_power import LPPool2d as LPPool2d
from .pooling_power import LPPool3d as LPPool3d
from .rnn import GRU as GRU
from .rnn import LSTM as LSTM
from .rnn import RNN as RNN
from .rnn_cell import GRUCell as GRUCell
from .rnn_cell import LSTMCell as LSTMCell
from .rnn_cell import RNNCell as RNNCell
from .softmax import LogSoftmax as LogSoftmax
from .softmax import Softmax as Softmax
from .softmax import Softmax2d as Softmax2d
from .softmax import Softmin as Softmin
from .sparse import Embedding as Embedding
from .sparse import EmbeddingBag as EmbeddingBag
from .transformer import Transformer as Transformer
from .transformer import TransformerDecoder as TransformerDecoder
from .transformer import TransformerEncoder as TransformerEncoder
from .transformer_layer import TransformerDecoderLayer as TransformerDecoderLayer
from .transformer_layer import TransformerEncoderLayer as TransformerEncoderLayer
from .tree import flatten as flatten  # over the file of that name
from .tree import tree_map as tree_map
from .tree import unflatten as unflatten
from .unpooling import MaxUnpool1d as MaxUnpool1d
from .unpooling import MaxUnpool2d as MaxUnpool2d
from .unpooling import MaxUnpool3d as MaxUnpool3d
from .upsampling import Upsample as Upsample
from .upsampling import UpsamplingBilinear2d as UpsamplingBilinear2d
from .upsampling import UpsamplingNearest2d as UpsamplingNearest2d

__version__ = "0.2.0"
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "Layer",
    "Node",
    "base",
    "checkpoint",
    "flatten",
    "operations",
    "optim",
    "registry",
    "training",
    "tree_map",
    "unflatten",
    *(name for name in registry() if name not in operations.__all__),  # as Max or Mean, which would confuse here
]
