//! Seeds that failed once. A change of the scenario or of the order of the library's requests
//! makes another run of a seed, so an entry is a habit worth keeping, no proof that its mistake
//! can't come back; mistakes that matter have tests of their own in the library.

/// Run before all other seeds.
pub const REGRESSIONS: &[u64] = &[
    5,       // a record that had expired before the first look at it was passed untold
    38,      // after a second look at a slot the next fetch was off by one: a live record skipped
    59,      // an offset in a block with an unknown verdict was found "not lost"
    93,      // as 38, and the wrong slot's checksum was compared
    738,     // a look was dated by its answer, and the reader had been stopped since
    1825,    // a reader that came back at the tail, whose slots had expired, began anew
    1_375,   // a segment was taken for gone by a list from before its block's index
    15_203, // a list from after a sweep, with an end from before, was taken for a block without slots
    10_280, // a deleter whose clock was ahead removed data within its lease
    44_121, // a batch whose slot was swept before its writer looked again was reported as not written
    86_151, // as 44121, and put once more
    592,    // a seek into a segment that had expired went back to one before it
    191_753, // a slot expired, was in a segment, and its block had no end when it was looked at
    61_241, // a fenced writer, stopped between two blocks, acknowledged a duplicate
    106_296, // a tail was made of an end from before a sweep and a list from after it
    128_020, // a slot whose stamp lagged came and went between two looks less than R apart
    32_906, // a batch that was deleted with its topic was reported as not written
    23_597, // a clock was judged by the topic's K, not by that of the block
];
