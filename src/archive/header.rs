//! Tar headers (POSIX.1-1988 `ustar`; IEEE Std 1003.1, pax, "ustar Interchange Format"). There is exactly one header for a name and a size;
//! the reader computes it as well and accepts no other, which leaves no room for links, PAX records or GNU extensions.

use super::Fault;

/// Size of a header and unit of all sizes in a tar.
pub(crate) const BLOCK: usize = 512;
/// The same as a file offset.
pub(crate) const BLOCK_U64: u64 = 512;

const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
/// The largest size that eleven octal digits hold.
const OCTAL_MAX: u64 = 0o777_7777_7777;

/// A header's 512 bytes.
pub(crate) type Block = [u8; BLOCK];

/// The header of a regular file: mode 0644, owner 0, time 0.
pub(crate) fn write(name: &str, size: u64) -> Block {
    let mut block = [0; BLOCK];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000644\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    if size <= OCTAL_MAX {
        put(&mut block, SIZE.start, format!("{size:011o}\0").as_bytes());
    } else {
        // GNU tar's base-256: the top bit of the field is set, the number follows big-endian ("Extensions to the tar format").
        block[SIZE.start] = 0x80;
        put(&mut block, SIZE.end - 8, &size.to_be_bytes());
    }
    put(&mut block, 136, b"00000000000\0");
    block[KIND] = b'0';
    put(&mut block, 257, b"ustar\x0000");
    let sum = checksum(&block);
    put(&mut block, CHECKSUM.start, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut Block, at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The sum of all bytes, with blanks in the checksum's place.
fn checksum(block: &Block) -> u32 {
    block.iter().enumerate().map(|(i, &b)| u32::from(if CHECKSUM.contains(&i) { b' ' } else { b })).sum()
}

/// The name in a header, for messages too, so whatever is there.
pub(crate) fn name(block: &Block) -> String {
    let field = &block[NAME];
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The size in a header that is otherwise just as we would write it.
pub(crate) fn size(block: &Block, name: &str) -> Result<u64, Fault> {
    match block[KIND] {
        b'0' => {}
        b'1' => return Err(Fault::Kind("a hard link")),
        b'2' => return Err(Fault::Kind("a symbolic link")),
        b'5' => return Err(Fault::Kind("a folder")),
        b'3' | b'4' | b'6' => return Err(Fault::Kind("a device")),
        b'x' | b'g' => return Err(Fault::Kind("a PAX header")),
        b'L' | b'K' | b'S' | b'M' | b'V' | b'D' => return Err(Fault::Kind("a GNU extension")),
        _ => return Err(Fault::Kind("of an unknown kind")),
    }
    let field = &block[SIZE];
    let size = if field[0] == 0x80 {
        field[4..].iter().try_fold(0u64, |n, &b| n.checked_mul(256).map(|n| n + u64::from(b)))
    } else {
        let digits = std::str::from_utf8(&field[..11]).ok();
        digits.and_then(|d| u64::from_str_radix(d, 8).ok())
    };
    let size = size.ok_or(Fault::Header)?;
    if name.len() <= NAME.end && *block == write(name, size) { Ok(size) } else { Err(Fault::Header) }
}

/// `size` rounded up to whole blocks.
pub(crate) fn padded(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(BLOCK_U64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back() {
        for size in [0, 1, 511, OCTAL_MAX, OCTAL_MAX + 1, 1 << 40] {
            let block = write("oci-layout", size);
            assert_eq!(name(&block), "oci-layout");
            assert_eq!(self::size(&block, "oci-layout").unwrap(), size);
        }
    }

    /// The oracle is the `tar` crate, which reads them as other people's tools do.
    #[test]
    fn the_tar_crate_agrees() {
        for size in [0u64, 77, OCTAL_MAX, OCTAL_MAX + 1, 1 << 40] {
            let block = write("blobs/sha256/00", size);
            let header = tar::Header::from_byte_slice(&block);
            assert_eq!(header.size().unwrap(), size);
            assert_eq!(header.cksum().unwrap(), checksum(&block));
            assert_eq!(header.mode().unwrap(), 0o644);
            assert!(header.as_ustar().is_some() && header.entry_type().is_file());
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let good = write("index.json", 1234);
        for i in 0..BLOCK {
            let mut bad = good;
            bad[i] ^= 1;
            let name = name(&bad);
            assert!(size(&bad, &name).is_err() || i < 10, "byte {i}");
        }
    }
}
