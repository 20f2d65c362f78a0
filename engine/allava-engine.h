/* allava-engine.h - the engine's one public header.
 *
 * Runs LLaVA-Phi vision-language models (ALLaVA, arXiv 2402.11684): a CLIP vision tower, an MLP
 * projector and a Phi-2 decoder, from a Hugging Face folder.
 *
 * Every call is synchronous. An AllavaModel and an AllavaTokenizer are read-only once loaded and
 * may be shared by threads; an AllavaSession belongs to one thread at a time. There is no global
 * state, but for a handler of SIGBUS: a file that is cut short under a model ends its answers with
 * an error, and not the process. Functions that take a GError fill it with a single sentence that
 * names the file or input and what is wrong with it. Whoever sets a handler of SIGBUS after the
 * first model was loaded has to pass on what is not meant for it.
 */
#pragma once

#include <gio/gio.h>
#include <stddef.h>
#include <stdint.h>

G_BEGIN_DECLS

/* ---- Errors ---------------------------------------------------------------------------------- */

#define ALLAVA_ERROR (allava_error_quark ())

typedef enum {
  ALLAVA_ERROR_FILE,          /* a file cannot be opened, read or mapped */
  ALLAVA_ERROR_FORMAT,        /* a file's content is broken or contradicts another file */
  ALLAVA_ERROR_UNSUPPORTED,   /* well formed, but asks for what this engine does not do */
  ALLAVA_ERROR_INPUT,         /* the caller's text, ids or image are not usable */
  ALLAVA_ERROR_CONTEXT,       /* the last turn alone is longer than the model's context */
  ALLAVA_ERROR_MEMORY,        /* not enough memory for weights or KV cache */
  ALLAVA_ERROR_DEVICE,        /* the device asked for is missing or failed */
  ALLAVA_ERROR_NOT_FINITE,    /* the model computed NaN or infinity: damaged weights */
  ALLAVA_ERROR_CHANGED,       /* a model's file was changed while it was in use: load it anew */
  ALLAVA_ERROR_DEVICE_MEMORY, /* a device that had enough memory has none left for its work */
} AllavaError;

GQuark allava_error_quark (void);

/* ---- Numbers --------------------------------------------------------------------------------- */

/* What a matrix is kept in, and with it how exact the arithmetic is. Norms, softmax, residuals and
 * accumulators are always f32.
 *
 *   AUTO  the first of F32, BF16 (F16 where the file is) and the narrower ones that fits the
 *         device's free memory together with the KV cache; on a GPU, of F16 and the narrower ones.
 *   F32   lossless: weights stay in the file's own dtype and are widened as they are used,
 *         activations and KV cache are f32.
 *   BF16  weights in bf16; activations are rounded to bf16 in prefill where the CPU multiplies
 *         bf16 (AVX512-BF16); KV cache f16. About twice as fast as F32 in prefill there.
 *   F16   weights in f16, activations f32, KV cache f16.
 *   Q8    the decoder's matrices in 8.5 bits a weight, the rest of them in 16; KV cache f16.
 *   Q4    the decoder's matrices in 4.5 bits a weight, lm_head as Q8, the rest in 16; KV cache f16.
 *
 * On a GPU, F32 is computed without TF32, prefill rounds activations to F16 (BF16 where that is the
 * dtype), and what is not quantised of Q8 and Q4 is F16.
 *
 * A checkpoint stored in the dtype asked for is used as it lies in the file, without a copy. One
 * that is quantised can be loaded as it is alone; AUTO does so. */
typedef enum {
  ALLAVA_DTYPE_AUTO,
  ALLAVA_DTYPE_F32,
  ALLAVA_DTYPE_BF16,
  ALLAVA_DTYPE_F16,
  ALLAVA_DTYPE_Q8,
  ALLAVA_DTYPE_Q4,
} AllavaDtype;

/* Static name ("auto", "f32", ...) and its inverse; the latter returns FALSE for an unknown name.
 */
const char *allava_dtype_to_string (AllavaDtype dtype);
gboolean allava_dtype_from_string (const char *name, AllavaDtype *dtype);

/* ---- Tokenizer ------------------------------------------------------------------------------- */

/* Byte-level BPE as tokenizer.json describes it (Radford et al. 2019, GPT-2). */
typedef struct _AllavaTokenizer AllavaTokenizer;

typedef enum {
  ALLAVA_TOKENIZE_TEXT = 0,         /* special tokens written in the text are ordinary text */
  ALLAVA_TOKENIZE_SPECIAL = 1 << 0, /* "<|endoftext|>" and the like become their ids */
} AllavaTokenizeFlags;

/* Loads DIR/tokenizer.json. Errors: FILE, FORMAT, UNSUPPORTED. */
AllavaTokenizer *allava_tokenizer_load (const char *dir, GError **error);
AllavaTokenizer *allava_tokenizer_ref (AllavaTokenizer *tokenizer);
void allava_tokenizer_unref (AllavaTokenizer *tokenizer);

/* Appends the ids (int32_t) of TEXT's LENGTH bytes to IDS; LENGTH -1 means up to the NUL. Text may
 * hold NUL bytes. Error: INPUT where TEXT is not UTF-8 (IDS is then as it was). */
gboolean allava_tokenizer_encode (AllavaTokenizer *tokenizer,
                                  const char *text,
                                  gssize length,
                                  AllavaTokenizeFlags flags,
                                  GArray *ids,
                                  GError **error);

/* The text of N ids, special tokens included; bytes that are not UTF-8 become U+FFFD as Rust's
 * from_utf8_lossy makes them. It may hold NUL bytes. Error: INPUT for an id that does not exist. */
GString *allava_tokenizer_decode (AllavaTokenizer *tokenizer,
                                  const int32_t *ids,
                                  size_t n_ids,
                                  GError **error);

/* The raw bytes that one id stands for (not NUL-terminated, owned by the tokenizer), or NULL with
 * *LENGTH 0 where the id does not exist. A token may end inside a UTF-8 sequence. */
const char *allava_tokenizer_get_bytes (AllavaTokenizer *tokenizer, int32_t id, size_t *length);

/* Whether an id is a special token, whose text is never shown. */
gboolean allava_tokenizer_is_special (AllavaTokenizer *tokenizer, int32_t id);

/* The id of a whole token by its text ("<|endoftext|>"), added tokens first, or -1. */
int32_t allava_tokenizer_find (AllavaTokenizer *tokenizer, const char *token);

/* One past the greatest id that exists. */
int32_t allava_tokenizer_get_n_ids (AllavaTokenizer *tokenizer);

/* ---- Model ----------------------------------------------------------------------------------- */

typedef struct _AllavaModel AllavaModel;

/* FRACTION runs from 0 to 1. Called on the loading thread. */
typedef void (*AllavaProgressFunc) (double fraction, gpointer user_data);

typedef struct {
  AllavaDtype dtype;
  const char *device;          /* "cpu", "cuda", "cuda:N", or "auto": CUDA where it works */
  int threads;                 /* of the CPU backend; 0: one for each physical core */
  gboolean background;         /* the CPU backend leaves room for a desktop: its threads and the one
                                * that loads go to a low priority for good, and of more than two
                                * cores that THREADS 0 would take, one stays free */
  const char *vision_tower;    /* CLIP folder for checkpoints without a vision tower, or NULL */
  AllavaProgressFunc progress; /* or NULL */
  gpointer progress_data;
  GCancellable *cancellable; /* or NULL */
} AllavaModelOptions;

#define ALLAVA_MODEL_OPTIONS_INIT                                                                  \
  {                                                                                                \
    .dtype = ALLAVA_DTYPE_AUTO, .device = "auto"                                                   \
  }

typedef struct {
  const char *name;            /* the folder's own name */
  const char *device;          /* "cpu" or "cuda" */
  const char *device_note;     /* why AUTO did not take the GPU, a sentence's part; or NULL */
  char device_name[128];       /* the GPU's; "" on the CPU */
  AllavaDtype dtype;           /* the arithmetic in use; never AUTO */
  AllavaDtype stored_dtype;    /* of the decoder's matrices in the file */
  int threads;                 /* in use; 0 on a GPU */
  const char *instruction_set; /* "AVX2", "AVX-512", "AVX-512 VNNI", "AVX-512 BF16"; "CUDA" */
  int image_size;              /* S: the side of the square that the model sees, pixels */
  int image_positions;         /* P: positions one image takes */
  int vision_width;            /* D */
  int hidden_size;             /* H */
  int vocab_size;              /* rows of lm_head; may exceed the tokenizer's ids */
  int context_length;          /* positions, images included */
  size_t n_parameters;
  size_t weight_bytes;          /* of all tensors in use, as kept in memory */
  size_t bytes_per_token;       /* weights read to decode one token */
  size_t kv_bytes_per_position; /* of one session */
  size_t needed_bytes;          /* weights, one session's KV cache, intermediate results */
  size_t free_bytes;            /* of the device's memory, before loading; SIZE_MAX: unknown */
} AllavaModelInfo;

/* The physical cores that this process may use; at least 1. */
int allava_count_cores (void);

/* "model_type" of DIR/config.json, or "" where it has none; the caller owns it. Reads that one
 * small file. Errors: FILE, FORMAT. */
char *allava_model_read_type (const char *dir, GError **error);

/* Loads the Hugging Face folder DIR. Weights are mapped, not copied, where their dtype is the one
 * in use. A model that does not fit the free memory is refused before it is read. Errors: FILE,
 * FORMAT, UNSUPPORTED, MEMORY, DEVICE, DEVICE_MEMORY, CHANGED, G_IO_ERROR_CANCELLED. */
AllavaModel *allava_model_load (const char *dir, const AllavaModelOptions *options, GError **error);
AllavaModel *allava_model_ref (AllavaModel *model);
void allava_model_unref (AllavaModel *model);

const AllavaModelInfo *allava_model_get_info (AllavaModel *model);
AllavaTokenizer *allava_model_get_tokenizer (AllavaModel *model); /* borrowed */

/* Writes the model in DIR with its weights quantised to DTYPE (Q8 or Q4) to the folder OUT, which
 * then loads as it is; a vision tower in a folder of its own stays there. OUT must not be there, or
 * be empty; it appears when it is whole. Of OPTIONS, threads, vision_tower, progress and
 * cancellable count; they may be NULL. Errors: FILE, FORMAT, UNSUPPORTED, INPUT (it is quantised
 * already), MEMORY, CHANGED, G_IO_ERROR. */
gboolean allava_quantize (const char *dir,
                          const char *out,
                          AllavaDtype dtype,
                          const AllavaModelOptions *options,
                          GError **error);

/* Reads a large buffer with the model's device and threads for about a third of a second.
 * Returns bytes per second: the limit that decoding runs against. */
double allava_model_measure_bandwidth (AllavaModel *model);

/* Bytes of the device's own memory that the model and its sessions have had at most; 0 on the CPU.
 */
size_t allava_model_get_device_memory (AllavaModel *model);

/* ---- Pictures -------------------------------------------------------------------------------- */

/* A caller's decoded image: rows of 8-bit sRGB triples, top row first, STRIDE bytes apart. */
typedef struct {
  const uint8_t *data;
  int width;
  int height;
  size_t stride;
} AllavaPixels;

/* What the model sees of an image: a square of 8-bit RGB at the model's resolution, padded and
 * resampled exactly as Pillow and CLIPImageProcessor do. Immutable, reference counted (atomic). */
typedef struct _AllavaPicture AllavaPicture;

/* PIXELS may be freed afterwards. Errors: INPUT (no pixels, or a side over 262,144), MEMORY. */
AllavaPicture *allava_picture_new (AllavaModel *model, const AllavaPixels *pixels, GError **error);
AllavaPicture *allava_picture_ref (AllavaPicture *picture);
void allava_picture_unref (AllavaPicture *picture);

int allava_picture_get_size (AllavaPicture *picture);              /* S, pixels */
const uint8_t *allava_picture_get_pixels (AllavaPicture *picture); /* [S, S, 3], borrowed */
const char *allava_picture_get_sha256 (AllavaPicture *picture);    /* of those bytes, in hex */

/* ---- Sessions -------------------------------------------------------------------------------- */

/* A KV cache, and the features of the images it has met. Consecutive calls may pass any
 * conversation: positions that it shares with what was computed last are not computed again. */
typedef struct _AllavaSession AllavaSession;

typedef enum {
  ALLAVA_ROLE_USER,
  ALLAVA_ROLE_ASSISTANT,
} AllavaRole;

/* One turn. Roles alternate, starting with USER. Text is UTF-8 and is never read as control text.
 * A USER turn's pictures stand before its text; they are of the model's size. */
typedef struct {
  AllavaRole role;
  const char *text;
  AllavaPicture *const *pictures;
  size_t n_pictures;
} AllavaTurn;

typedef struct {
  int max_new_tokens;
  int min_new_tokens; /* the end token cannot come before these */
  double temperature; /* 0: greedy; the next three are then unused */
  int top_k;          /* 0: off */
  double top_p;       /* 1: off */
  uint64_t seed;
  GCancellable *cancellable; /* or NULL; looked at in each layer and for each token */
} AllavaGenerateOptions;

/* The reference's defaults: greedy, at most 768 tokens, at least 1. */
#define ALLAVA_GENERATE_OPTIONS_INIT                                                               \
  {                                                                                                \
    .max_new_tokens = 768, .min_new_tokens = 1, .top_p = 1.0                                       \
  }

typedef enum {
  ALLAVA_FINISH_EOS,       /* the model ended its answer */
  ALLAVA_FINISH_LENGTH,    /* max_new_tokens */
  ALLAVA_FINISH_CONTEXT,   /* no position is left */
  ALLAVA_FINISH_CANCELLED, /* the cancellable, or the callback returned FALSE */
} AllavaFinish;

const char *allava_finish_to_string (AllavaFinish finish); /* "eos", "length", ... */

typedef struct {
  AllavaFinish finish;
  GArray *tokens;       /* int32_t ids, the end token not among them */
  int prompt_positions; /* of the whole prompt, images included */
  int reused_positions; /* of those, not computed again */
  int dropped_turns;    /* oldest turns left out because the context is short */
  int positions_left;   /* after the answer */
  double vision_ms;     /* vision tower and projector; 0 when all features were cached */
  double projector_ms;  /* the projector's part of that */
  double prefill_ms;    /* prompt to first logits */
  double decode_ms;     /* from the first logits to the end */
} AllavaGenerateResult;

void allava_generate_result_clear (AllavaGenerateResult *result);

/* TEXT is one or more whole UTF-8 characters of the answer. Return FALSE to stop. Called on the
 * calling thread. */
typedef gboolean (*AllavaTextFunc) (const char *text, gpointer user_data);

/* Errors: MEMORY, DEVICE, DEVICE_MEMORY. The session keeps a reference to MODEL. */
AllavaSession *allava_session_new (AllavaModel *model, GError **error);
void allava_session_free (AllavaSession *session);

/* Answers the conversation, whose last turn is the USER's; if it is the ASSISTANT's, continues it.
 *
 * When the conversation does not fit the context, the oldest pairs of question and answer are left
 * out, whole; the pictures of the latest turn that has any stay, moved to the first turn kept.
 * Cancelling is not an error: the result says so and holds what was said.
 * RESULT is filled on success; clear it with allava_generate_result_clear().
 * Errors: INPUT, CONTEXT, MEMORY, DEVICE, DEVICE_MEMORY (ask again when something else has given
 * some back), NOT_FINITE, CHANGED (load the model anew). */
gboolean allava_session_generate (AllavaSession *session,
                                  const AllavaTurn *turns,
                                  size_t n_turns,
                                  const AllavaGenerateOptions *options,
                                  AllavaTextFunc text_func,
                                  gpointer user_data,
                                  AllavaGenerateResult *result,
                                  GError **error);

/* Appends the prompt's ids (int32_t) to IDS as the reference forms them, before any turn is
 * dropped: one -200 for each picture, which stands for image_positions positions. */
gboolean allava_model_tokenize_turns (
    AllavaModel *model, const AllavaTurn *turns, size_t n_turns, GArray *ids, GError **error);

/* A tensor on its way through the model, f32, row-major, valid during the call only. */
typedef void (*AllavaTensorFunc) (
    const char *name, const float *data, int n_dims, const size_t *shape, gpointer user_data);

/* Runs the prompt without any reuse and shows every stage, in the order of computation:
 * for the I-th picture (from 0) "pixel_values.I" [3, S, S], "vision_hidden_states.I.L" [1 + P, D]
 * for L from 0 (after pre_layrnorm) on, "vision_features.I" [P, D] (the selected layer, without the
 * class token unless the config keeps it), "image_features.I" [P, H]; then "hidden_states.L" [N, H]
 * (L = 0: embeddings, L > 0: after the L-th layer) and "logits" [N, vocab]. */
gboolean allava_session_trace (AllavaSession *session,
                               const AllavaTurn *turns,
                               size_t n_turns,
                               AllavaTensorFunc tensor_func,
                               gpointer user_data,
                               GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaTokenizer, allava_tokenizer_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaModel, allava_model_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaPicture, allava_picture_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (AllavaSession, allava_session_free)

G_END_DECLS
