//! A large document costs the memory of its rows, and no more.
//!
//! The allocator counts for the whole process, so this file has one test.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made has to stop the test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use cdc_core::{XmlExtraction, XmlLimits, XmlMapping};
use serde_json::json;

/// Counts the bytes that are allocated, and the most that ever were.
struct Counting {
    allocated: AtomicUsize,
    peak: AtomicUsize,
}

#[global_allocator]
static ALLOCATOR: Counting = Counting { allocated: AtomicUsize::new(0), peak: AtomicUsize::new(0) };

// SAFETY: every call is passed on to the system's allocator with the arguments it came with; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let allocated = self.allocated.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        self.peak.fetch_max(allocated, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.allocated.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, that is from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The size of the documents.
const DOCUMENT_BYTES: usize = 5 * 1024 * 1024;
/// What an extraction may take beside its rows.
const OVERHEAD_BYTES: usize = 64 * 1024;

/// The rows, the bytes that they hold, and the most that were allocated on the way beyond what was before.
fn measured(mapping: &XmlMapping, document: &str) -> (XmlExtraction, usize, usize) {
    let before = ALLOCATOR.allocated.load(Ordering::Relaxed);
    ALLOCATOR.peak.store(before, Ordering::Relaxed);
    let extraction = mapping.extract(document, &XmlLimits::default()).expect("the document is well-formed");
    let held = ALLOCATOR.allocated.load(Ordering::Relaxed) - before;
    (extraction, held, ALLOCATOR.peak.load(Ordering::Relaxed) - before)
}

/// A document of the full size that repeats `piece`, with `last` at its end.
fn document(piece: &str, last: &str) -> String {
    let pieces = piece.repeat(DOCUMENT_BYTES / piece.len());
    format!("<order>{pieces}{last}</order>")
}

#[test]
fn x6_a_document_of_5_mb_takes_the_memory_of_its_rows() {
    let columns = json!({"product_id": "@product_id", "note": "note/text()"});
    let mapping =
        XmlMapping::from_json(&json!({"row_path": ".//item", "columns": columns})).expect("a mapping");

    let few = document("<other a='1'>text &amp; <b>more</b></other>\n", "<item product_id='7'/>");
    let (extraction, _, peak) = measured(&mapping, &few);
    assert_eq!(extraction.tables[0].len(), 1);
    assert!(peak < OVERHEAD_BYTES, "{peak} bytes for one row");

    let item = "<item product_id='12345' quantity='10' unit_price='19.99'><note>handle &lt;with&gt; care</note></item>\n";
    let many = document(item, "");
    let (extraction, held, peak) = measured(&mapping, &many);
    assert_eq!(extraction.tables[0].len(), DOCUMENT_BYTES / item.len());
    // While the list of rows moves to a larger place, it is there twice.
    assert!(peak < 2 * held + OVERHEAD_BYTES, "{peak} bytes on the way, {held} bytes in rows");
}
