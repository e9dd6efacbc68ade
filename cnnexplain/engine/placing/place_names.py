"""Torch's functions by what they do to where things are."""

from cnnexplain.engine.fields.rules import POINTWISE

# These move pixels to where they cannot be followed.
_SCATTERING = """
grid_sample grid_sampler grid_sampler_2d gather take take_along_dim scatter index_select index_put
roi_align roi_pool ps_roi_align ps_roi_pool sort argsort topk
"""
SCATTERING = frozenset(_SCATTERING.split())
CUTTING = frozenset(["narrow", "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "select"])
MIRRORING = frozenset(["flip", "fliplr", "flipud"])
JOINING = frozenset(["cat", "concat", "concatenate"])
RESHAPING = frozenset(["view", "reshape", "flatten", "unflatten", "view_as", "reshape_as"])
_VIEWING = "__getitem__ transpose swapaxes swapdims permute movedim moveaxis T mT H mH squeeze unsqueeze"
VIEWING = CUTTING | {*_VIEWING.split()}
_REDUCING = "mean sum var std var_mean std_mean amax amin max min norm any all prod logsumexp"
REDUCING = frozenset(_REDUCING.split())
# These hand on every cell where it was, or pool it, whatever they are given.
_REPEATING = frozenset(["expand", "expand_as", "broadcast_to", "repeat", "copy", "detach", "data"])
_KEEPING = """
batch_norm native_batch_norm layer_norm rms_norm instance_norm group_norm local_response_norm
channel_shuffle native_channel_shuffle pixel_shuffle pixel_unshuffle interpolate upsample convolution
softmax log_softmax softmin normalize zeros_like ones_like empty_like full_like rand_like randn_like
new_zeros new_ones new_empty new_full max_pool2d_with_indices
requires_grad retain_grad register_hook
"""
# These make no tensor, and are called between all others.
_ASKING = """
size dim ndimension numel nelement stride storage_offset is_contiguous is_floating_point is_complex is_inference
element_size data_ptr untyped_storage get_device is_same_size __len__ __hash__
"""
ASKING = frozenset(_ASKING.split())
_WINDOWS = "conv conv_transpose max_pool avg_pool lp_pool adaptive_avg_pool adaptive_max_pool"
_SLIDING = {f"{kind}{axes}d" for kind in _WINDOWS.split() for axes in (1, 2, 3)}
KEEPING = (POINTWISE - _REPEATING) | _SLIDING | {*_KEEPING.split()}
