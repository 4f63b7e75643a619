//! The network of a llama model on the CPU: tokens in, the scores of the next token out. It knows no text and no time.
//!
//! Architecture: Touvron et al., "LLaMA: Open and Efficient Foundation Language Models" (2023), with grouped-query attention;
//! names of tensors and metadata as in the GGUF format's specification.

use std::io::{Read, Seek};

use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{DType, Device, IndexOp, Module, Result, Tensor, bail};
use candle_nn::kv_cache::KvCache;

/// Weights that unpack to more than this stay packed: slower, but they fit.
const UNPACKED_MAX_BYTES: usize = 2 * 1024 * 1024 * 1024;

/// A model's weights; cheap to share, never changed.
pub(super) struct Llama {
    embeddings: Tensor,
    blocks: Vec<Block>,
    norm: Norm,
    output: QMatMul,
    shape: Shape,
    cos: Tensor,
    sin: Tensor,
}

/// Sizes, from the metadata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Tokens that prompt and answer may fill together.
    pub(super) context_tokens: usize,
    blocks: usize,
    width: usize,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    epsilon: f32,
    rope_base: f32,
}

/// What a conversation has put into attention so far.
pub(super) struct Attended {
    caches: Vec<KvCache>,
    tokens: usize,
}

struct Block {
    attention_norm: Norm,
    query: QMatMul,
    key: QMatMul,
    value: QMatMul,
    merge: QMatMul,
    forward_norm: Norm,
    gate: QMatMul,
    up: QMatMul,
    down: QMatMul,
}

struct Norm {
    weight: Tensor,
    epsilon: f32,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        candle_nn::ops::rms_norm(x, &self.weight, self.epsilon)
    }
}

impl Shape {
    /// Reads the sizes, and refuses those that cannot be.
    pub(super) fn read(content: &Content) -> Result<Self> {
        let number = |name: &str| -> Result<usize> {
            let key = format!("llama.{name}");
            let Some(value) = content.metadata.get(&key) else { bail!("`{key}` is missing") };
            Ok(value.to_u32()? as usize)
        };
        let real = |name: &str| content.metadata.get(&format!("llama.{name}")).and_then(|value| value.to_f32().ok());
        let architecture = content.metadata.get("general.architecture").and_then(|value| value.to_string().ok());
        if architecture.map(String::as_str) != Some("llama") {
            bail!("its architecture is {architecture:?}, and only \"llama\" is known");
        }
        let heads = number("attention.head_count")?;
        let width = number("embedding_length")?;
        let shape = Self {
            context_tokens: number("context_length")?,
            blocks: number("block_count")?,
            width,
            heads,
            kv_heads: number("attention.head_count_kv").unwrap_or(heads),
            head_width: width.checked_div(heads).unwrap_or(0),
            epsilon: real("attention.layer_norm_rms_epsilon").unwrap_or(1e-5),
            rope_base: real("rope.freq_base").unwrap_or(10_000.0),
        };
        let fits = shape.kv_heads > 0
            && shape.heads.is_multiple_of(shape.kv_heads)
            && shape.head_width * shape.heads == shape.width
            && shape.head_width.is_multiple_of(2)
            && (1..=1024).contains(&shape.blocks)
            && (1..=1 << 20).contains(&shape.context_tokens);
        if !fits {
            bail!("its sizes do not fit together: {shape:?}");
        }
        Ok(shape)
    }
}

impl Llama {
    /// Reads the weights behind `content`.
    pub(super) fn load<R: Read + Seek>(content: &Content, reader: &mut R) -> Result<Self> {
        let shape = Shape::read(content)?;
        let elements: usize = content.tensor_infos.values().map(|info| info.shape.elem_count()).sum();
        let unpack = elements.saturating_mul(size_of::<f32>()) <= UNPACKED_MAX_BYTES;
        let mut weights = Weights { content, reader, unpack };
        let packed = weights.tensor("token_embd.weight")?;
        let embeddings = packed.dequantize(&Device::Cpu)?;
        let output = match weights.tensor("output.weight") {
            Ok(own) => weights.matrix_of(own)?,
            // The same matrix reads and writes; unpacked, it is there once.
            Err(_) if unpack => QMatMul::Tensor(embeddings.clone()),
            Err(_) => QMatMul::from_qtensor(packed)?,
        };
        let blocks = (0..shape.blocks).map(|index| weights.block(index, &shape)).collect::<Result<_>>()?;
        let norm = weights.norm("output_norm.weight", &shape)?;
        let (cos, sin) = rotations(&shape)?;
        Ok(Self { embeddings, blocks, norm, output, shape, cos, sin })
    }

    /// Sizes of this model.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// An empty conversation.
    pub(super) fn begin(&self) -> Attended {
        // The buffers grow by this much, so that a short conversation stays small.
        let caches = (0..self.shape.blocks).map(|_| KvCache::new(1, GROWTH_TOKENS)).collect();
        Attended { caches, tokens: 0 }
    }

    /// Reads `tokens` after those already attended to and gives a score for each token that could come next.
    pub(super) fn read(&self, tokens: &[u32], attended: &mut Attended) -> Result<Vec<f32>> {
        let count = tokens.len();
        let from = attended.tokens;
        let ids = Tensor::new(tokens, &Device::Cpu)?;
        let mut x = self.embeddings.index_select(&ids, 0)?;
        let mask = (count > 1).then(|| causal_mask(count, from)).transpose()?;
        let turn = (self.cos.narrow(0, from, count)?, self.sin.narrow(0, from, count)?);
        for (block, cache) in self.blocks.iter().zip(&mut attended.caches) {
            let heard = self.attend(block, &block.attention_norm.forward(&x)?, mask.as_ref(), &turn, cache)?;
            x = (x + heard)?;
            let y = block.forward_norm.forward(&x)?;
            let gated = (candle_nn::ops::silu(&block.gate.forward(&y)?)? * block.up.forward(&y)?)?;
            x = (x + block.down.forward(&gated)?)?;
        }
        attended.tokens += count;
        let last = self.norm.forward(&x.i(count - 1..)?.contiguous()?)?;
        self.output.forward(&last)?.squeeze(0)?.to_dtype(DType::F32)?.to_vec1()
    }

    fn attend(
        &self,
        block: &Block,
        x: &Tensor,
        mask: Option<&Tensor>,
        (cos, sin): &(Tensor, Tensor),
        cache: &mut KvCache,
    ) -> Result<Tensor> {
        let Shape { heads, kv_heads, head_width, width, .. } = self.shape;
        let count = x.dim(0)?;
        let split =
            |flat: Tensor, heads: usize| flat.reshape((count, heads, head_width))?.transpose(0, 1)?.contiguous();
        let rotate = |x: Tensor| candle_nn::rotary_emb::rope_i(&x.unsqueeze(0)?, cos, sin)?.squeeze(0);
        let query = rotate(split(block.query.forward(x)?, heads)?)?;
        let key = rotate(split(block.key.forward(x)?, kv_heads)?)?;
        let value = split(block.value.forward(x)?, kv_heads)?;
        let (keys, values) = cache.append(&key, &value)?;

        // The heads of a group share their keys, so a group is one matrix and nothing is repeated.
        let group = heads / kv_heads;
        let query = query.reshape((kv_heads, group * count, head_width))?;
        let scores = (query.matmul(&keys.t()?)? / (head_width as f64).sqrt())?;
        let scores = match mask {
            None => scores,
            Some(mask) => {
                let seen = keys.dim(1)?;
                scores.reshape((heads, count, seen))?.broadcast_add(mask)?.reshape((kv_heads, group * count, seen))?
            }
        };
        let heard = candle_nn::ops::softmax_last_dim(&scores)?.matmul(&values.contiguous()?)?;
        let heard = heard.reshape((heads, count, head_width))?.transpose(0, 1)?.reshape((count, width))?;
        block.merge.forward(&heard)
    }
}

/// How much a conversation's buffers grow at a time.
const GROWTH_TOKENS: usize = 512;

struct Weights<'a, R> {
    content: &'a Content,
    reader: &'a mut R,
    unpack: bool,
}

impl<R: Read + Seek> Weights<'_, R> {
    fn tensor(&mut self, name: &str) -> Result<QTensor> {
        self.content.tensor(self.reader, name, &Device::Cpu)
    }

    fn matrix_of(&self, packed: QTensor) -> Result<QMatMul> {
        // Products of unpacked weights use the best instructions of the machine at hand; those of packed ones only what
        // the program was compiled for.
        if self.unpack { Ok(QMatMul::Tensor(packed.dequantize(&Device::Cpu)?)) } else { QMatMul::from_qtensor(packed) }
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<QMatMul> {
        let packed = self.tensor(name)?;
        if packed.shape().dims() != [rows, columns] {
            bail!("`{name}` is {:?} and not {rows} by {columns}", packed.shape());
        }
        self.matrix_of(packed)
    }

    fn norm(&mut self, name: &str, shape: &Shape) -> Result<Norm> {
        let weight = self.tensor(name)?.dequantize(&Device::Cpu)?;
        if weight.dims() != [shape.width] {
            bail!("`{name}` is {:?} and not {}", weight.shape(), shape.width);
        }
        Ok(Norm { weight, epsilon: shape.epsilon })
    }

    fn block(&mut self, index: usize, shape: &Shape) -> Result<Block> {
        let name = |part: &str| format!("blk.{index}.{part}.weight");
        let (width, kv_width) = (shape.width, shape.kv_heads * shape.head_width);
        let gate = self.tensor(&name("ffn_gate"))?;
        let Some(inner) = gate.shape().dims().first().copied() else { bail!("`{}` has no size", name("ffn_gate")) };
        Ok(Block {
            attention_norm: self.norm(&name("attn_norm"), shape)?,
            query: self.matrix(&name("attn_q"), width, width)?,
            key: self.matrix(&name("attn_k"), kv_width, width)?,
            value: self.matrix(&name("attn_v"), kv_width, width)?,
            merge: self.matrix(&name("attn_output"), width, width)?,
            forward_norm: self.norm(&name("ffn_norm"), shape)?,
            gate: self.matrix(&name("ffn_gate"), inner, width)?,
            up: self.matrix(&name("ffn_up"), inner, width)?,
            down: self.matrix(&name("ffn_down"), width, inner)?,
        })
    }
}

/// Cosine and sine of each place's angles: Su et al., "RoFormer" (2021).
fn rotations(shape: &Shape) -> Result<(Tensor, Tensor)> {
    let half = shape.head_width / 2;
    let step = |i: usize| shape.rope_base.powf(-2.0 * i as f32 / shape.head_width as f32);
    let angles: Vec<f32> =
        (0..shape.context_tokens).flat_map(|place| (0..half).map(move |i| place as f32 * step(i))).collect();
    let angles = Tensor::from_vec(angles, (shape.context_tokens, half), &Device::Cpu)?;
    Ok((angles.cos()?, angles.sin()?))
}

/// Zero where token `from + row` may look, minus infinity where it would look ahead.
fn causal_mask(count: usize, from: usize) -> Result<Tensor> {
    let seen = from + count;
    let ahead = |row: usize, column: usize| if column > from + row { f32::NEG_INFINITY } else { 0.0 };
    let mask: Vec<f32> = (0..count).flat_map(|row| (0..seen).map(move |column| ahead(row, column))).collect();
    Tensor::from_vec(mask, (count, seen), &Device::Cpu)
}
