//! Property lists as the C API takes them: a null-terminated row of names and values.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use super::error::Error;
use super::ffi::Properties;

/// A list under construction. Values may be secret, so it has no `Debug`.
#[derive(Default)]
pub(super) struct PropertyList {
    pairs: Vec<(&'static CStr, CString)>,
}

impl PropertyList {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a property whose value is `text`.
    pub(super) fn text(mut self, name: &'static CStr, text: &str) -> Result<Self, Error> {
        let what = name.to_str().unwrap_or("a property");
        let value = CString::new(text).map_err(|_| Error::InteriorNul { what })?;
        self.pairs.push((name, value));
        Ok(self)
    }

    /// Adds a property whose value is a constant of the API, a number's digits among them.
    pub(super) fn constant(mut self, name: &'static CStr, value: &'static CStr) -> Self {
        self.pairs.push((name, value.to_owned()));
        self
    }

    /// Adds an on/off property.
    pub(super) fn flag(self, name: &'static CStr, on: bool) -> Self {
        self.constant(name, if on { c"1" } else { c"0" })
    }

    /// Calls `f` with the list in the form of the C API. The library copies what it keeps.
    pub(super) fn with_pointer<T>(&self, f: impl FnOnce(Properties) -> T) -> T {
        let mut row: Vec<*const c_char> =
            self.pairs.iter().flat_map(|(name, value)| [name.as_ptr(), value.as_ptr()]).collect();
        row.push(ptr::null());
        f(row.as_mut_ptr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_alternates_names_and_values_and_ends_with_null() {
        let list = PropertyList::new().text(c"SESSION_HOST", "localhost").unwrap().flag(c"SESSION_X", true);
        let texts = list.with_pointer(|mut row| {
            let mut texts = Vec::new();
            // SAFETY: the row ends with null, and each entry before it is a C text of the list.
            unsafe {
                while !(*row).is_null() {
                    texts.push(CStr::from_ptr(*row).to_str().unwrap().to_owned());
                    row = row.add(1);
                }
            }
            texts
        });
        assert_eq!(texts, ["SESSION_HOST", "localhost", "SESSION_X", "1"]);
    }

    #[test]
    fn a_nul_in_a_value_is_refused_by_name() {
        let error = PropertyList::new().text(c"SESSION_HOST", "a\0b").err().unwrap();
        assert_eq!(error.to_string(), "SESSION_HOST contains a NUL character");
    }
}
