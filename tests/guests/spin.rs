//! Loops forever.
//! Justification: only fuel can end it, and other runs must not notice.

use agentry::Failure;

#[agentry::agent]
async fn run() -> Result<(), Failure> {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}
