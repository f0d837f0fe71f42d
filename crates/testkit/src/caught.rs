//! Panics as values: a simulation or a fuzzer goes on after one, and says where it was.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// `Some` while a panic of this thread is to be caught quietly; holds what it said.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            let is_watched = LAST.with_borrow_mut(|last| match last {
                Some(text) => {
                    *text = describe(info);
                    true
                }
                None => false,
            });
            if !is_watched {
                usual(info);
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    let place = info.location().map(|l| format!("{}:{}", l.file(), l.line()));
    let (text, place) = (text.unwrap_or_default(), place.unwrap_or_default());
    format!("panicked at {place}: {text}")
}

/// Runs `work`; a panic becomes an error that says what and where.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install();
    LAST.set(Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(work));
    let said = LAST.take().unwrap_or_default();
    result.map_err(|_| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value() {
        assert_eq!(caught(|| 3), Ok(3));
        let said = caught(|| panic!("number {}", 7)).unwrap_err();
        assert!(said.contains("number 7") && said.contains("caught.rs"), "{said}");
    }
}
