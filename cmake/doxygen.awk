# Prepares include/enos.h for Doxygen: the opening comment becomes the main page, and each chapter a group of its
# members.

/^ \* @file enos\.h$/ {
    print " * @mainpage libenos"
    next
}

!opened && /^ \*\/$/ {
    opened = 1
    print
    print "/** @file enos.h The C interface. The conventions, and the rules for threads, are on the main page. */"
    next
}

/^\/\* -+$/ {
    chapter = 1
    next
}

chapter && / -+ \*\/$/ {
    print " * @{ */"
    chapter = 0
    grouped = 1
    next
}

# The first line of a chapter begins with its name.
chapter == 1 {
    end = match($0, /[.:]/)
    print (grouped ? "/** @} */ " : "") "/** @name " substr($0, 4, end - 4)
    print " *" substr($0, end + 1)
    chapter = 2
    next
}

grouped && /^#ifdef __cplusplus$/ {
    print "/** @} */"
    grouped = 0
}

{ print }
