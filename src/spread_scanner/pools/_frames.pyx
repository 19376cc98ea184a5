# cython: language_level=3
"""What a provider tells of an account, read in one pass over the message's bytes: nearly all that is
heard. What is not spelled as nodes spell it is None: rpc.py's typed reading decides.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memchr

cdef extern from *:
    """
    #define TOLD_BAD 0x80000000u
    static uint32_t told_bits[4][256];  /* of a letter of base64, by its place among four */

    static void told_begin(void) {
        const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (int place = 0; place < 4; place++) {
            for (int letter = 0; letter < 256; letter++) told_bits[place][letter] = TOLD_BAD;
            for (int bits = 0; bits < 64; bits++)
                told_bits[place][(uint8_t)letters[bits]] = (uint32_t)bits << (18 - 6 * place);
        }
    }

    static inline uint32_t told_four(const uint8_t *in) {
        return told_bits[0][in[0]] | told_bits[1][in[1]] | told_bits[2][in[2]] |
               told_bits[3][in[3]];
    }

    /* Fours of letters to threes of bytes; 0: one of them is none. */
    static int told_decode(const uint8_t *in, Py_ssize_t fours, uint8_t *out) {
        uint32_t all = 0;
        for (Py_ssize_t i = 0; i < fours; i++, in += 4, out += 3) {
            uint32_t bits = told_four(in);
            all |= bits;
            out[0] = (uint8_t)(bits >> 16);
            out[1] = (uint8_t)(bits >> 8);
            out[2] = (uint8_t)bits;
        }
        return !(all & TOLD_BAD);
    }
    """
    uint32_t TOLD_BAD
    void told_begin()
    uint32_t told_four(const uint8_t *letters) nogil
    bint told_decode(const uint8_t *letters, Py_ssize_t fours, uint8_t *out) nogil

told_begin()

cdef enum:
    SLOT = 1
    SUBSCRIPTION = 2
    LAMPORTS = 4
    OWNER = 8
    DATA = 16
    SPACE = 32
    EXECUTABLE = 64
    RENT = 128
    NEEDED = SLOT | SUBSCRIPTION | LAMPORTS | OWNER | DATA
    DIGITS_MAX = 20

cdef uint64_t DECIMAL_MAX = (2**64 - 1) // 10  # of 64 bits, but for the last digit

cdef struct Text:
    const char *at
    Py_ssize_t size

cdef struct Message:
    const char *at
    const char *end
    uint32_t told  # of the above
    uint64_t slot
    uint64_t subscription
    uint64_t lamports
    uint64_t space
    Text owner
    Text data


cdef inline bint says(Message *m, const char *word, Py_ssize_t size) noexcept nogil:
    """Whether this is what comes next, which is gone past then."""
    if m.end - m.at < size or memcmp(m.at, word, size):
        return False
    m.at += size
    return True


cdef inline bint number(Message *m, uint64_t *found) noexcept nogil:
    """A whole number of 64 bits, as JSON spells it."""
    cdef const char *begin = m.at
    cdef uint64_t value = 0, digit
    while m.at < m.end and c'0' <= m.at[0] <= c'9':
        if m.at - begin >= DIGITS_MAX or value > DECIMAL_MAX:
            return False
        digit = <uint64_t>(m.at[0] - c'0')
        if value == DECIMAL_MAX and digit > 5:
            return False
        value = value * 10 + digit
        m.at += 1
    found[0] = value
    return m.at > begin and (begin[0] != c'0' or m.at == begin + 1)


cdef inline bint text(Message *m, Text *found) noexcept nogil:
    """A string in which nothing is escaped."""
    cdef const char *quote
    if not says(m, b'"', 1):
        return False
    quote = <const char *>memchr(m.at, c'"', m.end - m.at)
    if quote == NULL:
        return False
    found.at, found.size = m.at, quote - m.at
    if memchr(found.at, c'\\', found.size) != NULL:
        return False
    m.at = quote + 1
    return True


cdef inline bint once(Message *m, uint32_t what) noexcept nogil:
    cdef bint first = not m.told & what
    m.told |= what
    return first


cdef bint account(Message *m) noexcept nogil:
    """What stands in "value", up to the brace that ends it."""
    cdef uint64_t rent
    while True:
        if says(m, b'"lamports":', 11):
            if not (once(m, LAMPORTS) and number(m, &m.lamports)):
                return False
        elif says(m, b'"owner":', 8):
            if not (once(m, OWNER) and text(m, &m.owner)):
                return False
        elif says(m, b'"data":[', 8):
            if not (once(m, DATA) and text(m, &m.data) and says(m, b',"base64"]', 10)):
                return False
        elif says(m, b'"executable":', 13):
            if not (once(m, EXECUTABLE) and (says(m, b"false", 5) or says(m, b"true", 4))):
                return False
        elif says(m, b'"rentEpoch":', 12):
            if not (once(m, RENT) and number(m, &rent)):
                return False
        elif says(m, b'"space":', 8):
            if not (once(m, SPACE) and number(m, &m.space)):
                return False
        else:
            return False
        if not says(m, b",", 1):
            return says(m, b"}", 1)


cdef bint message(Message *m) noexcept nogil:
    """All of it, as nodes spell it."""
    cdef Text version
    return (
        says(m, b'{"jsonrpc":"2.0","method":"accountNotification","params":{"result":{', 68)
        and says(m, b'"context":{', 11)
        and (not says(m, b'"apiVersion":', 13) or (text(m, &version) and says(m, b",", 1)))
        and says(m, b'"slot":', 7) and number(m, &m.slot) and says(m, b'},"value":{', 11)
        and account(m)
        and says(m, b'},"subscription":', 17) and number(m, &m.subscription)
        and says(m, b"}}", 2) and m.at == m.end
        and m.slot < <uint64_t>1 << 63
        and (m.told | SLOT | SUBSCRIPTION) & NEEDED == NEEDED
    )


cdef bytes decoded(Text data):
    """Of base64; None where it is not as it is to be."""
    cdef const uint8_t *letters = <const uint8_t *>data.at
    cdef Py_ssize_t fours = data.size // 4, left = 0, size
    cdef uint8_t last[4]
    cdef uint8_t ends[3]
    cdef uint8_t *out
    cdef bytes made
    if data.size % 4:
        return None
    if data.size and letters[data.size - 1] == c'=':
        left = 1 if letters[data.size - 2] == c'=' else 2
        fours -= 1
    size = 3 * fours + left
    made = PyBytes_FromStringAndSize(NULL, size)
    out = <uint8_t *>PyBytes_AS_STRING(made)
    if not told_decode(letters, fours, out):
        return None
    if left:
        last[0], last[1], last[2], last[3] = letters[4 * fours], letters[4 * fours + 1], c'A', c'A'
        if left == 2:
            last[2] = letters[4 * fours + 2]
        if not told_decode(last, 1, ends) or ends[left]:  # bits beyond the end are none
            return None
        out[3 * fours] = ends[0]
        if left == 2:
            out[3 * fours + 1] = ends[1]
    return made


def read_told(bytes frame not None):
    """(subscription, slot, owner, bytes, lamports) of an account's notification; None: not for this
    tier."""
    cdef Message m
    cdef bytes held
    m.at = PyBytes_AS_STRING(frame)
    m.end = m.at + PyBytes_GET_SIZE(frame)
    m.told = 0
    if not message(&m):
        return None
    held = decoded(m.data)
    if held is None or (m.told & SPACE and m.space != <uint64_t>PyBytes_GET_SIZE(held)):
        return None
    try:
        owner = PyUnicode_DecodeASCII(m.owner.at, m.owner.size, NULL)
    except UnicodeDecodeError:
        return None
    return m.subscription, m.slot, owner, held, m.lamports
