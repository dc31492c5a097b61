// ZIP files, read and written in the browser: nothing is unpacked on the server.
// Source: PKWARE's APPNOTE 6.3.10, sections 4.3 to 4.5, without ZIP64 and encryption.

const MOST = 2 ** 30; // bytes of one file in an archive that are unpacked

export async function unzip(file) {
  const data = new DataView(await file.arrayBuffer());
  let end = data.byteLength - 22;
  while (end >= 0 && data.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Error(`${file.name} is no ZIP file.`);
  const files = [];
  let at = data.getUint32(end + 16, true);
  for (let left = data.getUint16(end + 10, true); left > 0; left -= 1) {
    if (data.getUint32(at, true) !== 0x02014b50) throw new Error(`${file.name} is damaged.`);
    const [method, packed, size] = [data.getUint16(at + 10, true), data.getUint32(at + 20, true), data.getUint32(at + 24, true)];
    const [named, extra, comment] = [28, 30, 32].map((offset) => data.getUint16(at + offset, true));
    const local = data.getUint32(at + 42, true);
    const name = new TextDecoder().decode(new Uint8Array(data.buffer, at + 46, named));
    at += 46 + named + extra + comment;
    if (name.endsWith("/") || name.startsWith("__MACOSX/") || size > MOST) continue;
    const begin = local + 30 + data.getUint16(local + 26, true) + data.getUint16(local + 28, true);
    const body = new Blob([new Uint8Array(data.buffer, begin, packed)]);
    if (method !== 0 && method !== 8) throw new Error(`${name} is packed in a way that is not known.`);
    const stream = method === 8 ? body.stream().pipeThrough(new DecompressionStream("deflate-raw")) : body.stream();
    files.push(new File([await new Response(stream).blob()], name));
  }
  return files;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// An archive of {name, blob}; images are packed already, so that they are stored as they are.
export async function zip(files) {
  const parts = [], directory = [];
  let offset = 0;
  for (const { name, blob } of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const named = new TextEncoder().encode(name);
    const head = new DataView(new ArrayBuffer(26));
    head.setUint16(0, 20, true); // version that is needed
    head.setUint16(2, 0x0800, true); // names are UTF-8
    head.setUint16(8, 33, true); // 1980-01-01, as date and time of MS-DOS at 6..9
    head.setUint32(10, crc32(bytes), true);
    head.setUint32(14, bytes.length, true);
    head.setUint32(18, bytes.length, true);
    head.setUint16(22, named.length, true);
    const tail = new DataView(new ArrayBuffer(14));
    tail.setUint32(10, offset, true);
    parts.push(Uint8Array.of(0x50, 0x4b, 3, 4), head.buffer, named, bytes);
    directory.push(Uint8Array.of(0x50, 0x4b, 1, 2, 20, 0), head.buffer, tail.buffer, named);
    offset += 30 + named.length + bytes.length;
  }
  const central = new Blob(directory);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, central.size, true);
  end.setUint32(16, offset, true);
  return new Blob([...parts, central, end.buffer], { type: "application/zip" });
}
