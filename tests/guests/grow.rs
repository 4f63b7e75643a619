//! Takes memory until it gets no more.
//! Justification: linear memory is capped per run, and the host must not pay for it.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(vec![1; 1024 * 1024]);
        std::hint::black_box(&taken);
    }
}
