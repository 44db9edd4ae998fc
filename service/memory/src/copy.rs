//! Copies by size: up to 128 bytes are all read before the first is written, so that it doesn't matter whether the places
//! overlap; more go by 64 bytes, from the end that overwrites nothing unread.

use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_setzero_si128, _mm_storeu_si128};

/// Bytes of what is read and written at once.
const WIDTH: usize = 16;
/// Bytes of a step where many are copied.
const STEP: usize = 4 * WIDTH;

/// Copies bytes between places that may overlap.
///
/// # Safety
///
/// There are `count` bytes to read at `from`, and to write at `to`.
#[cfg_attr(not(target_env = "musl"), allow(dead_code))]
#[inline(always)]
pub unsafe fn copy(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: each of these reads and writes within `count` bytes, by the comparison before it.
    unsafe {
        if count < WIDTH {
            copy_few(to, from, count);
        } else if count <= 2 * WIDTH {
            ends::<1>(to, from, count);
        } else if count <= 4 * WIDTH {
            ends::<2>(to, from, count);
        } else if count <= 8 * WIDTH {
            ends::<4>(to, from, count);
        } else if (to as usize).wrapping_sub(from as usize) >= count {
            forwards(to, from, count);
        } else {
            backwards(to, from, count);
        }
    }
}

/// Reads N widths.
#[inline(always)]
unsafe fn read<const N: usize>(from: *const u8) -> [__m128i; N] {
    // SAFETY: the caller has N * WIDTH bytes there; they need no alignment.
    unsafe {
        // No function of arrays: what that calls is not part of this one, as the crate is without builtins.
        let mut widths = [_mm_setzero_si128(); N];
        let mut number = 0;
        while number < N {
            widths[number] = _mm_loadu_si128(from.add(number * WIDTH).cast());
            number += 1;
        }
        widths
    }
}

/// Writes N widths.
#[inline(always)]
unsafe fn write<const N: usize>(to: *mut u8, widths: [__m128i; N]) {
    let mut number = 0;
    while number < N {
        // SAFETY: the caller has room for N * WIDTH bytes there; they need no alignment.
        unsafe { _mm_storeu_si128(to.add(number * WIDTH).cast(), widths[number]) };
        number += 1;
    }
}

/// Copies N to 2 N widths: the first N and the last N of them, which may share bytes.
#[inline(always)]
unsafe fn ends<const N: usize>(to: *mut u8, from: *const u8, count: usize) {
    let last = count - N * WIDTH;
    // SAFETY: `count` is at least N widths.
    unsafe {
        let (start, end) = (read::<N>(from), read::<N>(from.add(last)));
        write(to, start);
        write(to.add(last), end);
    }
}

/// Copies more than a step, where `to` is before `from`, or behind all of it. What a step writes has been read by then. The
/// last 64 bytes are read first, since some of them may be overwritten by the steps.
unsafe fn forwards(to: *mut u8, from: *const u8, count: usize) {
    let last = count - STEP;
    // SAFETY: `done` is below `last`, which is a step before the end.
    unsafe {
        let end = read::<4>(from.add(last));
        let mut done = 0;
        while done < last {
            write(to.add(done), read::<4>(from.add(done)));
            done += STEP;
        }
        write(to.add(last), end);
    }
}

/// Copies more than a step, where `to` is within what is read: the other way round.
unsafe fn backwards(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: `left` is more than a step in the loop.
    unsafe {
        let start = read::<4>(from);
        let mut left = count;
        while left > STEP {
            left -= STEP;
            write(to.add(left), read::<4>(from.add(left)));
        }
        write(to, start);
    }
}

/// Copies fewer than 16 bytes.
#[inline(always)]
unsafe fn copy_few(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: each reads and writes two numbers of half of `count` bytes or more, at the start and at the end.
    unsafe {
        match count {
            8.. => two::<u64>(to, from, count),
            4.. => two::<u32>(to, from, count),
            2.. => two::<u16>(to, from, count),
            1 => *to = *from,
            0 => {}
        }
    }
}

/// Copies one or two numbers: the first and the last, which may share bytes.
#[inline(always)]
unsafe fn two<T>(to: *mut u8, from: *const u8, count: usize) {
    let last = count - size_of::<T>();
    // SAFETY: `count` is at least the size of one.
    unsafe {
        let (start, end) = (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(start);
        to.add(last).cast::<T>().write_unaligned(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of which no two near one another are alike.
    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from((at * 7 + at / 251) % 251).unwrap_or_default()).collect()
    }

    #[test]
    fn every_size_is_copied_from_and_to_every_alignment() {
        for count in (0..600).chain([4095, 4096, 4097, 70_001]) {
            for (from, to) in [(0, 0), (1, 0), (0, 1), (7, 13), (15, 16), (63, 5)] {
                let source = pattern(count + 64);
                let mut target = vec![0xee; count + 64];
                // SAFETY: both have 64 bytes more than `count`, and `from` and `to` are below that.
                unsafe { copy(target.as_mut_ptr().add(to), source.as_ptr().add(from), count) };
                assert_eq!(target[to..to + count], source[from..from + count], "{count} bytes, {from} to {to}");
                let untouched = target[..to].iter().chain(&target[to + count..]);
                assert!(untouched.into_iter().all(|byte| *byte == 0xee), "{count} bytes, {from} to {to}");
            }
        }
    }

    #[test]
    fn places_may_overlap_by_any_number_of_bytes() {
        for count in (0_usize..400).chain([1000, 4097]) {
            for distance in (0..140).chain([count / 2, count.saturating_sub(1), count]) {
                for (from, to) in [(0, distance), (distance, 0)] {
                    let mut bytes = pattern(count + distance);
                    let mut expected = bytes.clone();
                    expected.copy_within(from..from + count, to);
                    // SAFETY: both places are within `bytes`.
                    unsafe { copy(bytes.as_mut_ptr().add(to), bytes.as_ptr().add(from), count) };
                    assert_eq!(bytes, expected, "{count} bytes, {from} to {to}");
                }
            }
        }
    }
}
