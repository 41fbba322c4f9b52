#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second reader of keyring files, made from docs/FORMAT.md alone, in plain Python: opens the vectors
given and compares what comes of it with what they say. For tests: slow, and careless with secrets."""

import hashlib
import hmac
import os
import struct
import sys
import uuid


class Refused(Exception):
    """Opening ends in args[0]."""


def damaged():
    return Refused("damaged")


# --- AES-256 in counter mode (FIPS 197, SP 800-38A) ---


def times_x(a):
    return (a << 1) ^ (0x11B if a & 0x80 else 0)


def make_sbox():
    sbox, p, q = [0x63] * 256, 1, 1
    while True:
        p = p ^ times_x(p)
        for shift in (1, 2, 4):
            q ^= q << shift
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        rotated = [(q << n | q >> (8 - n)) & 0xFF for n in range(5)]
        sbox[p] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
        if p == 1:
            return sbox


SBOX = make_sbox()


def round_keys(key):
    words, constant = [list(key[i : i + 4]) for i in range(0, 32, 4)], 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant <<= 1
        elif len(words) % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[-8], word)])
    return [sum(words[i : i + 4], []) for i in range(0, 60, 4)]


def encrypt_block(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number, key in enumerate(keys[1:], 1):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                column = state[c : c + 4]
                every = column[0] ^ column[1] ^ column[2] ^ column[3]
                mixed += [b ^ every ^ times_x(b ^ column[(i + 1) % 4]) for i, b in enumerate(column)]
            state = mixed
        state = [a ^ b for a, b in zip(state, key)]
    return bytes(state)


def ctr(key, iv, data):
    keys, counter, out = round_keys(key), int.from_bytes(iv, "big"), b""
    for at in range(0, len(data), 16):
        stream = encrypt_block(keys, counter.to_bytes(16, "big"))
        out += bytes(a ^ b for a, b in zip(data[at : at + 16], stream))
        counter = (counter + 1) % (1 << 128)
    return out


# --- HMAC, HKDF (RFC 5869), Argon2id (RFC 9106) ---


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def hkdf(salt, secret, info, length):
    key, block, out = mac(salt, secret), b"", b""
    while len(out) < length:
        block = mac(key, block, info, bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]


def long_hash(data, length):
    data = struct.pack("<I", length) + data
    if length <= 64:
        return hashlib.blake2b(data, digest_size=length).digest()
    block = hashlib.blake2b(data).digest()
    out = block[:32]
    while length - len(out) > 64:
        block = hashlib.blake2b(block).digest()
        out += block[:32]
    return out + hashlib.blake2b(block, digest_size=length - len(out)).digest()


M = (1 << 64) - 1


def permute(v, places):
    x = [v[p] for p in places]

    def mix(a, b, c, d):
        for first, second in ((32, 24), (16, 63)):
            x[a] = (x[a] + x[b] + 2 * (x[a] & 0xFFFFFFFF) * (x[b] & 0xFFFFFFFF)) & M
            x[d] ^= x[a]
            x[d] = (x[d] >> first | x[d] << (64 - first)) & M
            x[c] = (x[c] + x[d] + 2 * (x[c] & 0xFFFFFFFF) * (x[d] & 0xFFFFFFFF)) & M
            x[b] ^= x[c]
            x[b] = (x[b] >> second | x[b] << (64 - second)) & M

    for i in range(4):
        mix(i, i + 4, i + 8, i + 12)
    for i in range(4):
        mix(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    for p, value in zip(places, x):
        v[p] = value


def compress(a, b):
    r = [x ^ y for x, y in zip(a, b)]
    v = list(r)
    for row in range(8):
        permute(v, range(16 * row, 16 * row + 16))
    for column in range(8):
        permute(v, [16 * row + 2 * column + i for row in range(8) for i in range(2)])
    return [x ^ y for x, y in zip(r, v)]


def argon2id(passphrase, salt, memory, passes, lanes, length):
    numbers = struct.pack("<6I", lanes, length, memory, passes, 0x13, 2)
    seed = b"".join(struct.pack("<I", len(x)) + x for x in (passphrase, salt, b"", b""))
    seed = hashlib.blake2b(numbers + seed).digest()
    columns = memory // (4 * lanes) * 4
    segment = columns // 4
    rows = [[None] * columns for _ in range(lanes)]
    for lane in range(lanes):
        for i in range(2):
            rows[lane][i] = list(struct.unpack("<128Q", long_hash(seed + struct.pack("<2I", i, lane), 1024)))
    for n in range(passes):
        for part in range(4):
            for lane in range(lanes):
                independent = n == 0 and part < 2
                count, addresses = 0, []
                for i in range(segment):
                    if independent and i % 128 == 0:
                        count += 1
                        zero = [0] * 128
                        given = [n, lane, part, lanes * columns, passes, 2, count] + [0] * 121
                        addresses = compress(zero, compress(zero, given))
                    column = part * segment + i
                    if n == 0 and column < 2:
                        continue
                    before = rows[lane][(column - 1) % columns]
                    pseudo = addresses[i % 128] if independent else before[0]
                    other = lane if n == 0 and part == 0 else (pseudo >> 32) % lanes
                    if n == 0:
                        area = column - 1 if part == 0 or other == lane else part * segment - (i == 0)
                    else:
                        area = columns - segment + (i - 1 if other == lane else -(i == 0))
                    x = (pseudo & 0xFFFFFFFF) ** 2 >> 32
                    offset = area - 1 - (area * x >> 32)
                    start = 0 if n == 0 else (part + 1) * segment
                    block = compress(before, rows[other][(start + offset) % columns])
                    old = rows[lane][column] if n else [0] * 128
                    rows[lane][column] = [a ^ b for a, b in zip(block, old)]
    last = [0] * 128
    for row in rows:
        last = [a ^ b for a, b in zip(last, row[-1])]
    return long_hash(struct.pack("<128Q", *last), length)


# --- The keyring file ---

KINDS = {1: "passphrase", 2: "secret_file", 3: "recovery", 4: "custodians"}
INFO = {1: b"passphrase", 2: b"secret", 3: b"recovery", 4: b"custodians"}
MAX_RECORD = 17225
MOST_ARGON2 = 6291456


def x25519(private, point):
    """RFC 7748, section 5: the Montgomery ladder over the field of 2^255 - 19."""
    prime = 2**255 - 19
    scalar = int.from_bytes(private, "little") & ~7 & (1 << 255) - 1 | 1 << 254
    base = (int.from_bytes(point, "little") & (1 << 255) - 1) % prime
    (x, z), (next_x, next_z) = (1, 0), (base, 1)
    for bit in range(254, -1, -1):
        swap = scalar >> bit & 1
        if swap:
            x, z, next_x, next_z = next_x, next_z, x, z
        plus, minus = (x + z) % prime, (x - z) % prime
        cross = (next_x - next_z) * plus % prime, (next_x + next_z) * minus % prime
        next_x, next_z = (cross[0] + cross[1]) ** 2 % prime, base * (cross[0] - cross[1]) ** 2 % prime
        plus, minus = plus * plus % prime, minus * minus % prime
        part = plus - minus
        x, z = plus * minus % prime, part * (plus + 121665 * part) % prime
        if swap:
            x, z, next_x, next_z = next_x, next_z, x, z
    return (x * pow(z, prime - 2, prime) % prime).to_bytes(32, "little")


def text(field):
    length = field[0]
    if length >= len(field) or any(field[1 + length :]):
        raise damaged()
    try:
        return field[1 : 1 + length].decode("utf-8")
    except UnicodeDecodeError:
        raise damaged()


def is_text(secret):
    """Whether no character but TAB, LF and CR is a control character."""
    try:
        characters = secret.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(c in "\t\n\r" or not (c < " " or "\x7f" <= c <= "\x9f") for c in characters)


class Opening:
    """One opening of a file with one secret, and the Argon2id that was computed in it."""

    def __init__(self, secret):
        line = secret[:-1] if secret.endswith(b"\n") else secret
        line = line[:-1] if line.endswith(b"\r") else line
        self.shares = shares(secret)
        self.given = {
            2: secret if len(secret) >= 32 else None,
            3: recovery_key(secret),
            1: line if is_text(secret) else None,
        }
        self.left, self.stretched = MOST_ARGON2, {}

    def input(self, slot):
        """What the keys of a slot are derived from; None when the slot is not tried."""
        if slot.kind == 4:
            return combined(self.shares, *slot.raw[1:3])
        given, salt = self.given[slot.kind], slot.raw[24:56]
        if slot.kind != 1 or given is None:
            return given
        if (salt, slot.cost) not in self.stretched:
            if slot.work > self.left:
                return None
            self.left -= slot.work
            self.stretched[salt, slot.cost] = argon2id(given, salt, *slot.cost, 32)
        return self.stretched[salt, slot.cost]

    def open(self, header):
        """The data key of a header."""
        forged = False
        for kind in (2, 3, 4, 1):
            for slot in header.slots:
                given = self.input(slot) if slot.kind == kind else None
                if given is not None:
                    is_own, authentic, data_key = slot.open(given, header.id)
                    if is_own and authentic:
                        return data_key
                    forged = forged or is_own or authentic
        raise damaged() if forged else Refused("wrong_secret")


class Slot:
    def __init__(self, raw):
        self.raw, self.kind = raw, raw[0]
        self.cost = struct.unpack("<3I", raw[4:16])
        memory, passes, lanes = self.cost
        self.work = memory * passes
        if self.kind == 1:
            bounded = 1 <= passes <= 16 and 1 <= lanes <= 16 and 8 * lanes <= memory <= 1048576
            bounded = bounded and self.work <= 4194304
        else:
            bounded = self.cost == (0, 0, 0)
        numbers = 2 <= raw[1] <= raw[2] <= 16 and raw[3] == 0 if self.kind == 4 else not any(raw[1:4])
        if self.kind not in KINDS or not bounded or not numbers:
            raise damaged()
        self.name = text(raw[104:160])

    def shown(self):
        custodians = f" {self.raw[1]}-of-{self.raw[2]}" if self.kind == 4 else ""
        return f'{KINDS[self.kind]}{custodians} "{self.name}"'

    def open(self, given, keyring):
        """Whether the public key is the one that the input leads to, whether the tag is, and the data key."""
        salt, renewal = self.raw[24:56], self.raw[160:192]
        private = hkdf(salt, given, b"keyring_external 1 slot private key", 32)
        public = x25519(private, (9).to_bytes(32, "little"))
        is_own, agreed = public == self.raw[192:224], True
        if any(renewal):
            common = x25519(private, renewal)
            token = hkdf(salt, given, b"keyring_external 1 slot renewal token", 32)
            agreed = any(common)
            keys = hkdf(salt, common + renewal + public + token, b"keyring_external 1 renewed slot", 64)
        else:
            keys = hkdf(salt, given, b"keyring_external 1 " + INFO[self.kind] + b" slot", 64)
        authentic = agreed and mac(keys[32:], keyring, self.raw[:192], public) == self.raw[224:]
        return is_own, authentic, ctr(keys[:32], self.raw[56:72], self.raw[72:104])


def typed(secret):
    """The characters of groups on paper."""
    typed = bytes(c for c in secret if c not in b" \t\r\n\f-").upper()
    return typed.translate(bytes.maketrans(b"ILOU", b"110V"))


def paper(typed, groups):
    """The bytes of so many groups; None when a character or a check is wrong."""
    alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    if len(typed) != 5 * groups or any(c not in alphabet for c in typed):
        return None
    bits = 0
    for group in range(groups):
        *symbols, check = (alphabet.index(c) for c in typed[5 * group : 5 * group + 5])
        total = 0
        for symbol in symbols:
            total = (total ^ symbol) << 1
            total ^= 0b100101 if total & 32 else 0
            bits = bits << 5 | symbol
        if check != total ^ (3 * group + 1) % 32:
            return None
    return bits.to_bytes(20 * groups // 8, "big")


def recovery_key(secret):
    return paper(typed(secret), 8)


def shares(secret):
    """The shares that a secret consists of; None when it is something else."""
    characters = typed(secret)
    if not characters or len(characters) % 60:
        return None
    found = [paper(characters[at : at + 60], 12) for at in range(0, len(characters), 60)]
    return found if all(found) else None


def times(a, b):
    """Multiplies in GF(2^8), the field of AES."""
    product = 0
    for bit in range(8):
        product ^= a if b >> bit & 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
    return product


def value_at(points, at):
    """The values of the polynomials of least degree through the points."""
    inverse = lambda a: next(b for b in range(256) if times(a, b) == 1)
    result = bytes(20)
    for x, values in points:
        weight = 1
        for other, _ in points:
            if other != x:
                weight = times(weight, times(at ^ other, inverse(x ^ other)))
        result = bytes(a ^ times(b, weight) for a, b in zip(result, values))
    return result


def combined(shares, threshold, count):
    """The secret of a slot's custodians; None when these are not their shares."""
    if shares is None or not threshold <= len(shares) <= count:
        return None
    heads = {(s[0] >> 4, s[1:10]) for s in shares}
    numbers = [(s[0] & 15) + 1 for s in shares]
    fits = len(heads) == 1 and shares[0][0] >> 4 == threshold - 1 and shares[0][1] == (count - 1) << 4
    if not fits or max(numbers) > count or len(set(numbers)) < len(numbers):
        return None
    points = [(number, s[10:]) for number, s in zip(numbers, shares)]
    enough = points[:threshold]
    if any(value_at(enough, number) != values for number, values in points[threshold:]):
        return None
    return value_at(enough, 0)


class Header:
    def __init__(self, raw):
        if raw[:16] != b"KEYRING_EXTERNAL":
            raise Refused("not_a_keyring")
        if hashlib.sha256(raw[:4064]).digest() != raw[4064:]:
            raise damaged()
        if struct.unpack("<I", raw[16:20])[0] != 1:
            raise Refused("newer")
        self.raw, self.id, self.epoch = raw, raw[24:40], raw[40:56]
        self.created = struct.unpack("<Q", raw[56:64])[0]
        self.label = text(raw[64:128])
        slots = [raw[at : at + 256] for at in range(128, 2176, 256)]
        self.positions = [Slot(slot) if any(slot) else None for slot in slots]
        while self.positions and not self.positions[-1]:
            self.positions.pop()
        self.slots = [slot for slot in self.positions if slot]
        if sum(slot.work for slot in self.slots) > MOST_ARGON2:
            raise damaged()


class Front:
    """One header, opened, with the newest commit that it vouches for."""

    def __init__(self, file, header, opening):
        data_key = opening.open(header)
        key = lambda purpose: hkdf(header.id, data_key, b"keyring_external 1 " + purpose, 32)
        self.header, self.start = header, header.raw[4032:4064]
        if mac(key(b"header mac"), header.raw[:4032]) != self.start or len(file) < 16384:
            raise damaged()
        self.encryption, self.record_mac = key(b"record encryption"), key(b"record mac")
        commits, unreadable = [], None
        for index in (0, 1):
            slot = file[8192 + 4096 * index :][:4096]
            # A note of an audit log is authenticated too; none is 64 zeros.
            noted = slot[96:160] if any(slot[96:160]) else b""
            tag = mac(key(b"commit mac"), header.epoch, bytes([index]), slot[:64], noted)
            magic, generation, length, count, chain = struct.unpack("<8sQQQ32s", slot[:64])
            whole = tag == slot[64:96] and magic == b"KXCOMMIT" and length >= 16384 and not any(slot[152:])
            if whole:
                commits.append((generation, length, count, chain))
            else:
                unreadable = (magic, generation, length, count)
        if not commits:
            raise damaged()
        self.generation, self.length, self.count, self.chain = max(commits)
        self.slots_fit = len(commits) == 2 and abs(commits[0][0] - commits[1][0]) <= 1
        self.must_follow = unreadable is not None and 3 <= sum(
            (
                unreadable[0] == b"KXCOMMIT",
                unreadable[1] == self.generation + 1,
                1 <= unreadable[2] - self.length <= MAX_RECORD,
                unreadable[3] == self.count + 1,
            )
        )

    def record(self, file, at, chain):
        """The body of the record at an offset, its end and its tag; None when none verifies."""
        (length,) = struct.unpack("<I", file[at : at + 4].ljust(4, b"\xff"))
        end = at + 52 + length
        if length > 17173 or end > len(file):
            return None
        iv, sealed, tag = file[at + 4 : at + 20], file[at + 20 : end - 32], file[end - 32 : end]
        if mac(self.record_mac, chain, file[at : at + 4], iv, sealed) != tag:
            return None
        return ctr(self.encryption, iv, sealed), end, tag


def fields(body):
    if len(body) < 16 or body[0] not in (1, 2):
        raise damaged()
    retired = 0
    if body[0] == 2:
        if len(body) < 24:
            raise damaged()
        (retired,) = struct.unpack("<Q", body[9:17])
        if retired == 0:
            raise damaged()
        body = body[:9] + body[17:]
    created, t, i, u, d = struct.unpack("<QBBBI", body[1:16])
    kind, name, user, data = (body[16:][a:b] for a, b in ((0, t), (t, t + i), (t + i, t + i + u), (t + i + u, None)))
    if len(data) != d or not 1 <= d <= 16384 or not kind or not name or 0 in kind + name + user:
        raise damaged()
    return user, name, kind, created, retired, data


def open_keyring(file, secret):
    if len(file) < 8192:
        begins = file and b"KEYRING_EXTERNAL".startswith(file[:16])
        raise Refused("damaged" if begins else "not_a_keyring")
    headers, reasons = [], []
    for at in (0, 4096):
        try:
            header = Header(file[at : at + 4096])
            if all(header.raw != other.raw for other in headers):
                headers.append(header)
        except Refused as reason:
            reasons.append(reason.args[0])
    if not headers:
        raise Refused(next((r for r in reversed(reasons) if r != "not_a_keyring"), "not_a_keyring"))
    fronts, errors, opening = [], [], Opening(secret)
    for header in headers:
        try:
            fronts.append(Front(file, header, opening))
        except Refused as reason:
            errors.append(reason.args[0])
    if not fronts:
        raise Refused("damaged" if "damaged" in errors else "wrong_secret")
    front = max(fronts, key=lambda f: f.generation)
    notes = ["header_copy"] if reasons or len(headers) > 1 else []
    notes += [] if front.slots_fit else ["commit_slot"]
    at, chain, keys, taken = 16384, front.start, {}, 0
    while True:
        if taken == front.count and (at, chain) != (front.length, front.chain):
            raise damaged()
        found = front.record(file, at, chain)
        if found is None:
            break
        body, at, chain = found
        user, name, *rest = fields(body)
        if (user, name) in keys:
            raise damaged()
        keys[user, name] = rest
        taken += 1
    more = taken - front.count
    if more < 0 or (front.must_follow and more == 0):
        raise damaged()
    notes += [f"rolled_forward {more}"] if more else []
    notes += [f"ignored {len(file) - at}"] if len(file) > at else []
    return front, front.generation + more, notes, keys


# --- The vectors ---


def unhex(digits):
    return b"" if digits == "-" else bytes.fromhex(digits)


def parse(path):
    """The lines of a vector that say what is found, all its lines by their first word, and its bytes."""
    lines, given, file = [], {}, b""
    for line in open(path, encoding="utf-8").read().splitlines():
        if line.startswith("@"):
            offset, data = line[1:].split(" ")
            data = unhex(data)
            file = file[: int(offset)] + data + file[int(offset) + len(data) :]
        else:
            word, value = line.split(": ", 1)
            given[word] = value
            if word == "length":
                file = bytes(int(value))
            elif word not in ("name", "note", "secret-hex"):
                lines.append((word, value))
    return lines, given, file


def compare_head(path):
    """Compares the head of a copy at a remote with the vector of the file that it stands for."""
    lines, given, head = parse(path)
    file = parse(os.path.join(os.path.dirname(path), given["file"]))[2]
    slots = b"".join(head[at : at + 160].ljust(4096, b"\0") for at in (4096, 4256))
    identity, sequence, written, count = struct.unpack_from("<16sQQI", head, 4416)
    pieces = [struct.unpack_from("<QQI", head, 4452 + 20 * index) for index in range(count)]
    found = [
        ("file", given["file"]),
        ("identity", identity.hex()),
        ("sequence", str(sequence)),
        ("written", str(written)),
        *(("piece", f"pieces/{base:016x}-{number:016x} {length}") for base, number, length in pieces),
    ]
    whole = 16384 + sum(length for _, _, length in pieces) == len(file) and len(head) == 4452 + 20 * count
    if found == lines and whole and 2 * head[:4096] + slots == file[:16384]:
        return True
    print(f"{path}: says\n  {lines}\nand this reader found\n  {found}")
    return False


def compare(path):
    if path.endswith(".head"):
        return compare_head(path)
    lines, given, file = parse(path)
    try:
        front, generation, notes, keys = open_keyring(file, unhex(given["secret-hex"]))
    except Refused as reason:
        found = [("expect", reason.args[0])]
    else:
        header, show = front.header, lambda data: data.hex() or "-"
        found = [
            ("expect", "opened"),
            ("id", str(uuid.UUID(bytes=header.id))),
            ("label", f'"{header.label}"'),
            ("created", str(header.created)),
            *(("slot", s.shown() if s else "unused") for s in header.positions),
            ("generation", str(generation)),
            *(("opened-with", note) for note in notes),
        ]
        for (user, name), (kind, created, retired, data) in sorted(keys.items()):
            dates = f"{created}-{retired}" if retired else str(created)
            found.append(("key", " ".join((show(user), show(name), show(kind), dates, show(data)))))
    if found == lines:
        return True
    print(f"{path}: says\n  {lines}\nand this reader found\n  {found}")
    return False


if __name__ == "__main__":
    results = [compare(path) for path in sys.argv[1:]]
    print(f"{sum(results)} of {len(results)} vectors are read as they say")
    sys.exit(not results or not all(results))
