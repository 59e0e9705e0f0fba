//! i386: the System V convention with arguments on the stack.
