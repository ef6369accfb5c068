//! Tables that grow: each side reads as much of the other's as both know.

use std::mem::{MaybeUninit, offset_of};
use std::ptr::{copy_nonoverlapping, from_mut, from_ref};

use crate::{Context, Failure, Host, Kind, Options, Output, Plan, Plugin, Restored, StateWriter};

/// A table that says its size and is only ever added to at its end.
///
/// # Safety
/// It is `#[repr(C)]`, every field that came after [`FIRST`](Self::FIRST) bytes may be zero (an
/// `Option` of a function, a pointer, a number, a text), and `told` reads its field `struct_size`.
pub unsafe trait Grows: Sized {
    /// Its size in version 1.0, which the other side has at least.
    const FIRST: usize;

    /// The size that it says.
    ///
    /// # Safety
    /// So much of it must be there as to hold the field `struct_size`.
    unsafe fn told(table: *const Self) -> usize;
}

/// Says of tables by which field version 1.0 of each ended.
macro_rules! grows {
    ($($table:ty: $last:ident),+ $(,)?) => {$(
        // SAFETY: the tables of `gristmill.h`, which a test holds to be the same.
        unsafe impl Grows for $table {
            const FIRST: usize = end_of(
                offset_of!($table, $last),
                |table: &$table| &raw const table.$last,
            );

            unsafe fn told(table: *const Self) -> usize {
                // SAFETY: by the contract of this function.
                unsafe { (&raw const (*table).struct_size).read() }
            }
        }
    )+};
}

/// Where a field ends that begins at `offset`. The function is only for its type.
const fn end_of<T, F>(offset: usize, _: fn(&T) -> *const F) -> usize {
    offset + size_of::<F>()
}

grows! {
    Plugin: kind_count,
    Kind: committed,
    Failure: help,
    Options: boolean,
    Plan: details,
    Context: host,
    Host: redact,
    Output: reject,
    StateWriter: value,
    Restored: part_count,
}

/// A table of today with what the other side's has; all that it does not have is zero. The size says
/// how much is filled in.
///
/// # Errors
/// The size that it says, if that is less than it was in version 1.0: it is no such table, or was not
/// initialised.
///
/// # Safety
/// The pointer must be aligned, and lead to as much as the table says.
pub unsafe fn read_table<T: Grows>(table: *const T) -> Result<T, usize> {
    // SAFETY: by the contract of this function.
    let told = unsafe { T::told(table) };
    if told < T::FIRST {
        return Err(told);
    }
    let mut own = MaybeUninit::<T>::zeroed();
    // SAFETY: so many bytes are there on both sides. The fields of version 1.0 are filled in, and the
    // others may be zero.
    unsafe {
        copy_nonoverlapping(table.cast::<u8>(), own.as_mut_ptr().cast(), told.min(size_of::<T>()));
        Ok(own.assume_init())
    }
}

/// Changes the other side's table as far as it goes. Nothing happens to one that is shorter than it was
/// in version 1.0.
///
/// # Safety
/// As for [`read_table`], and nobody else uses it meanwhile.
pub(crate) unsafe fn change_table<T: Grows>(table: *mut T, change: impl FnOnce(&mut T)) {
    // SAFETY: by the contract of this function.
    let Ok(mut own) = (unsafe { read_table(table) }) else { return };
    // SAFETY: `own` is a table.
    let size = unsafe { T::told(from_ref(&own)) }.min(size_of::<T>());
    change(&mut own);
    // SAFETY: so many bytes are there on both sides.
    unsafe { copy_nonoverlapping(from_mut(&mut own).cast::<u8>(), table.cast(), size) }
}

#[cfg(test)]
mod tests {
    use gristmill_stage::Error;

    use super::*;
    use crate::FailureBuffer;

    /// A failure as a later minor may have it.
    #[repr(C)]
    struct Later {
        today: Failure,
        call: Option<extern "C" fn()>,
        number: u64,
    }

    // SAFETY: what came later may be zero.
    unsafe impl Grows for Later {
        const FIRST: usize = Failure::FIRST;

        unsafe fn told(table: *const Self) -> usize {
            // SAFETY: it begins with the table of today.
            unsafe { Failure::told(table.cast()) }
        }
    }

    #[test]
    fn what_an_older_table_does_not_have_is_zero() {
        let mut buffer = FailureBuffer::new();
        let failure = buffer.ready();
        // SAFETY: the buffer is there, and ends where its table does.
        let read = unsafe { read_table(failure.cast::<Later>()) }.unwrap();
        assert_eq!((read.call.is_none(), read.number), (true, 0));
        assert_eq!(read.today.struct_size, size_of::<Failure>());
    }

    #[test]
    fn an_older_table_is_changed_as_far_as_it_goes() {
        let mut buffer = FailureBuffer::new();
        // SAFETY: the buffer is there.
        let today = unsafe { read_table(buffer.ready()) }.unwrap();
        let mut later = Later { today, call: None, number: 7 };
        let failure = (&raw mut later).cast::<Later>();
        // SAFETY: the table is there.
        unsafe {
            change_table(failure, |failure| {
                failure.number = 9;
                failure.today.kind = 3;
            });
        }
        // Its table ends before the number.
        assert_eq!((later.today.kind, later.number), (3, 7));
    }

    #[test]
    fn what_a_later_table_has_more_stays_as_it_is() {
        let mut buffer = FailureBuffer::new();
        // SAFETY: the buffer is there.
        let today = unsafe { read_table(buffer.ready()) }.unwrap();
        let struct_size = size_of::<Later>();
        let mut later = Later { today: Failure { struct_size, ..today }, call: None, number: 7 };
        // SAFETY: the table is there.
        unsafe { Failure::put((&raw mut later).cast(), &Error::data("no")) };
        assert_eq!((later.today.kind, later.today.struct_size), (3, struct_size));
        assert_eq!(later.number, 7);
    }

    #[test]
    fn a_table_shorter_than_the_first_is_none() {
        let mut buffer = FailureBuffer::new();
        let failure = buffer.ready();
        // SAFETY: the buffer is there.
        unsafe { (*failure).struct_size = Failure::FIRST - 8 };
        // SAFETY: the buffer is there.
        assert_eq!(unsafe { read_table(failure) }.unwrap_err(), Failure::FIRST - 8);
    }
}
