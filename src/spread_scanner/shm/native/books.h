/* Order books, read without the interpreter.
 *
 * Writers: the feeds (shm/books.py).     Reader: the engine, mapped read-only.
 *
 * A read is bounded and asks the system for nothing. A slot may be handed on between a look at its
 * place and one at the book: a record names its symbol, and who meets another's has none.
 */
#ifndef SS_BOOKS_H
#define SS_BOOKS_H

#include <string.h>

#include "book.h"
#include "latches.h"

typedef struct ss_books {
    ss_latches table;
    const ss_word *places; /* by source and symbol: its slot + 1; 0: it has none */
    uint32_t symbols, slots;
} ss_books;

/* Whether a symbol has a book that could be read whole; books of zeros are those of nobody. */
static inline int ss_books_read(const ss_books *books, uint32_t source, uint32_t symbol,
                                ss_book_record *book) {
    uint64_t word[SS_BOOK_WORDS];
    /* Partner: the feed's store of the place, after the slot says whose it is. */
    uint64_t place = atomic_load_explicit(
        &books->places[(uint64_t)source * books->symbols + symbol], memory_order_acquire);
    if (place == 0 || place > books->slots) return 0;
    uint64_t number = (uint64_t)source * books->slots + place - 1;
    if (ss_latches_read(&books->table, number, word) != SS_READ_OK) return 0;
    memcpy(book, word, sizeof *book);
    return book->symbol_id == symbol;
}

#endif
