"""A thin cffi binding (ABI mode) of llama.cpp's C API, written for exactly one layout of its structs.

The library comes from the wheel ``xllamacpp``, whose extension module exports the whole C API, or from the file
that ``HATCAT_LLAMA_LIB`` names. llama.cpp changes its structs between releases without notice, and a binding with
the wrong layout does not fail: it switches options off. So ``load`` compares the defaults that the library itself
fills in with the ones this layout promises, field by field, and refuses a library it was not written for.

Declarations after ``include/llama.h`` of llama.cpp (MIT), build b11549.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cffi

from hatcat.errors import EngineError

BUILD = "b11549"
# The wheel that carries this build.
CARRIER = "xllamacpp==2026.10.11549"

_CDEF = """
typedef int32_t llama_token;
typedef int32_t llama_pos;
typedef int32_t llama_seq_id;
typedef bool (*eval_callback)(void * tensor, bool ask, void * user_data);
typedef bool (*abort_callback)(void * data);
typedef bool (*progress_callback)(float progress, void * user_data);
typedef void (*log_callback)(int level, const char * text, void * user_data);

struct llama_model_params {
    void * devices;
    const void * tensor_buft_overrides;
    int32_t n_gpu_layers;
    int32_t split_mode;
    int32_t load_mode;
    int32_t lazy_mode;
    int32_t main_gpu;
    const float * tensor_split;
    progress_callback progress;
    void * progress_user_data;
    const void * kv_overrides;
    bool vocab_only;
    bool check_tensors;
    bool use_extra_bufts;
    bool no_host;
    bool no_alloc;
    bool load_mtp;
};

struct llama_context_params {
    uint32_t n_ctx;
    uint32_t n_batch;
    uint32_t n_ubatch;
    uint32_t n_seq_max;
    uint32_t n_rs_seq;
    uint32_t n_outputs_max;
    uint32_t n_outputs_max_per_seq;
    int32_t  n_threads;
    int32_t  n_threads_batch;
    int32_t  ctx_type;
    int32_t  rope_scaling_type;
    int32_t  pooling_type;
    int32_t  attention_type;
    int32_t  flash_attn_type;
    float    rope_freq_base;
    float    rope_freq_scale;
    float    yarn_ext_factor;
    float    yarn_attn_factor;
    float    yarn_beta_fast;
    float    yarn_beta_slow;
    uint32_t yarn_orig_ctx;
    float    defrag_thold;
    eval_callback cb_eval;
    void *   cb_eval_user_data;
    int32_t  type_k;
    int32_t  type_v;
    abort_callback abort;
    void *   abort_data;
    void *   reserved; // eight bytes of this build that no public header names; zero by default
    bool embeddings;
    bool offload_kqv;
    bool no_perf;
    bool op_offload;
    bool swa_full;
    bool kv_unified;
    void * samplers;
    size_t n_samplers;
    void * ctx_other;
};

struct llama_batch {
    int32_t n_tokens;
    llama_token * token;
    float * embd;
    llama_pos * pos;
    int32_t * n_seq_id;
    llama_seq_id ** seq_id;
    int8_t * logits;
};

struct llama_logit_bias { llama_token token; float bias; };
struct llama_sampler_chain_params { bool no_perf; };

struct llama_model_params llama_model_default_params(void);
struct llama_context_params llama_context_default_params(void);
struct llama_sampler_chain_params llama_sampler_chain_default_params(void);

void llama_backend_init(void);
void llama_log_set(log_callback callback, void * user_data);
const char * llama_print_system_info(void);
bool llama_supports_gpu_offload(void);

void * llama_model_load_from_file(const char * path, struct llama_model_params params);
void llama_model_free(void * model);
void * llama_init_from_model(void * model, struct llama_context_params params);
void llama_free(void * ctx);

void * llama_get_memory(const void * ctx);
void llama_memory_clear(void * mem, bool data);

const void * llama_model_get_vocab(const void * model);
int32_t llama_model_n_ctx_train(const void * model);
int32_t llama_model_n_embd(const void * model);
int32_t llama_model_n_layer(const void * model);
uint64_t llama_model_size(const void * model);
int32_t llama_model_desc(const void * model, char * buf, size_t size);
int32_t llama_model_meta_val_str(const void * model, const char * key, char * buf, size_t size);
const char * llama_model_chat_template(const void * model, const char * name);
bool llama_model_has_encoder(const void * model);
bool llama_model_has_decoder(const void * model);

int32_t llama_vocab_n_tokens(const void * vocab);
bool llama_vocab_is_eog(const void * vocab, llama_token token);
llama_token llama_vocab_bos(const void * vocab);
llama_token llama_vocab_eos(const void * vocab);
int32_t llama_tokenize(const void * vocab, const char * text, int32_t text_len, llama_token * tokens,
                       int32_t n_tokens_max, bool add_special, bool parse_special);
int32_t llama_token_to_piece(const void * vocab, llama_token token, char * buf, int32_t length, int32_t lstrip,
                             bool special);

int32_t llama_decode(void * ctx, struct llama_batch batch);
void llama_synchronize(void * ctx);
void llama_set_n_threads(void * ctx, int32_t n_threads, int32_t n_threads_batch);
float * llama_get_logits_ith(void * ctx, int32_t i);

void llama_sampler_free(void * smpl);
void * llama_sampler_chain_init(struct llama_sampler_chain_params params);
void llama_sampler_chain_add(void * chain, void * smpl);
void * llama_sampler_init_greedy(void);
void * llama_sampler_init_dist(uint32_t seed);
void * llama_sampler_init_top_k(int32_t k);
void * llama_sampler_init_top_p(float p, size_t min_keep);
void * llama_sampler_init_min_p(float p, size_t min_keep);
void * llama_sampler_init_temp(float t);
void * llama_sampler_init_penalties(int32_t n_vocab, int32_t last_n, float repeat, float freq, float present);
void * llama_sampler_init_logit_bias(int32_t n_vocab, int32_t n, const struct llama_logit_bias * bias);
llama_token llama_sampler_sample(void * smpl, void * ctx, int32_t idx);

const char * ggml_get_name(const void * tensor);
size_t ggml_nbytes(const void * tensor);
void ggml_backend_tensor_get(const void * tensor, void * data, size_t offset, size_t size);

// exported under C++ names: llama.cpp's own extraction of the layers' inputs
void _Z30llama_set_embeddings_layer_inpP13llama_contextjb(void * ctx, uint32_t layer, bool enable);
float * _Z30llama_get_embeddings_layer_inpP13llama_contextj(void * ctx, uint32_t layer);
"""

ffi: Any = cffi.FFI()
ffi.cdef(_CDEF)

# What the library of this build fills in by itself. n_threads is left out (it follows the machine in some builds).
_CONTEXT_DEFAULTS: dict[str, Any] = {
    "n_ctx": 512, "n_batch": 2048, "n_ubatch": 512, "n_seq_max": 1, "n_rs_seq": 0, "n_outputs_max": 0,
    "n_outputs_max_per_seq": 1, "ctx_type": 0, "rope_scaling_type": -1, "pooling_type": -1,
    "attention_type": -1, "flash_attn_type": -1, "rope_freq_base": 0.0, "rope_freq_scale": 0.0,
    "yarn_ext_factor": -1.0, "yarn_attn_factor": -1.0, "yarn_beta_fast": -1.0, "yarn_beta_slow": -1.0,
    "yarn_orig_ctx": 0, "defrag_thold": -1.0, "type_k": 1, "type_v": 1, "embeddings": False, "offload_kqv": True,
    "no_perf": True, "op_offload": True, "swa_full": True, "kv_unified": False, "n_samplers": 0,
}  # fmt: skip
_MODEL_DEFAULTS: dict[str, Any] = {
    "n_gpu_layers": -1, "split_mode": 1, "load_mode": -1, "lazy_mode": 1, "main_gpu": 0, "vocab_only": False,
    "check_tensors": False, "use_extra_bufts": True, "no_host": False, "no_alloc": False, "load_mtp": False,
}  # fmt: skip


def library_path() -> Path:
    """The file that carries llama.cpp: ``HATCAT_LLAMA_LIB`` if set, otherwise the installed wheel's.

    Raises EngineError if there is none.
    """
    chosen = os.environ.get("HATCAT_LLAMA_LIB")
    if chosen:
        path = Path(chosen).expanduser()
        if not path.is_file():
            raise EngineError(f"HATCAT_LLAMA_LIB points to {path}, which is not a file")
        return path
    spec = importlib.util.find_spec("xllamacpp")  # not imported: the C API is all we use of it
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in sorted(Path(folder).glob("xllamacpp.*")):
            if name.suffix in {".so", ".dylib", ".pyd"}:
                return name
    raise EngineError("llama.cpp is not installed: run `pip install xllamacpp` or set HATCAT_LLAMA_LIB")


def _check_cpu() -> None:
    """Say it plainly when the processor is too old for the wheel, which would die of an illegal instruction."""
    if platform.machine() not in {"x86_64", "AMD64"} or os.environ.get("HATCAT_LLAMA_LIB"):
        return
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and "avx2" not in cpuinfo.read_text(errors="replace"):
        raise EngineError(
            "this processor lacks AVX2, which the packaged llama.cpp needs; build llama.cpp for this machine "
            f"(release {BUILD}, shared library) and point HATCAT_LLAMA_LIB to it"
        )


def _mismatches(actual: Any, expected: dict[str, Any]) -> list[str]:
    return [
        f"{name}={getattr(actual, name)!r} instead of {value!r}"
        for name, value in expected.items()
        if getattr(actual, name) != value
    ]


def check_layout(lib: Any) -> None:
    """Compare the library's own defaults with this binding's layout. Raises EngineError where they differ."""
    wrong = _mismatches(lib.llama_context_default_params(), _CONTEXT_DEFAULTS)
    wrong += _mismatches(lib.llama_model_default_params(), _MODEL_DEFAULTS)
    if wrong:
        raise EngineError(
            f"{library_path()} is not the llama.cpp this version of hatcat was written for ({BUILD}): "
            f"{'; '.join(wrong[:4])}. Install the pinned wheel (`pip install {CARRIER}`) or "
            f"point HATCAT_LLAMA_LIB to a build of {BUILD}"
        )


_log: list[str] = []


@ffi.callback("log_callback")  # type: ignore[untyped-decorator, unused-ignore]
def _on_log(level: int, text: Any, _user_data: Any) -> None:
    if level >= 3:  # warnings and errors; a few are kept for error messages
        _log.append(ffi.string(text).decode("utf-8", "replace").strip())
        del _log[:-20]


def last_log() -> str:
    """The library's latest warning or error, for an error message."""
    return next((line for line in reversed(_log) if line), "")


def _missing_help(reason: str) -> str:
    """What installs a library that llama.cpp needs from the system."""
    if "libgomp" in reason:
        return ". Install the OpenMP runtime: `apt-get install libgomp1` (Debian, Ubuntu) or `dnf install libgomp`"
    if "libcuda" in reason:
        return ". This is the CUDA build: install NVIDIA's driver, or reinstall the CPU build"
    return ""


@cache
def load() -> Any:
    """The library, opened once, checked and initialised. Raises EngineError with what to do about it."""
    _check_cpu()
    path = library_path()
    try:
        # RTLD_NOW finds a library whose own dependencies (a CUDA driver, say) are missing here and not later.
        lib = ffi.dlopen(str(path), ffi.RTLD_NOW)
    except OSError as error:
        raise EngineError(f"{path} does not load: {error}{_missing_help(str(error))}") from error
    try:
        check_layout(lib)
    except AttributeError as error:
        raise EngineError(f"{path} is no llama.cpp library: {error}") from error
    lib.llama_log_set(_on_log, ffi.NULL)
    lib.llama_backend_init()
    return lib


def describe() -> dict[str, Any]:
    """Facts for `doctor`: file, build, features, whether it can use a GPU."""
    lib = load()
    return {
        "library": str(library_path()),
        "build": BUILD,
        "gpu": bool(lib.llama_supports_gpu_offload()),
        "features": ffi.string(lib.llama_print_system_info()).decode("utf-8", "replace").strip(),
        "platform": f"{sys.platform} {platform.machine()}",
    }
