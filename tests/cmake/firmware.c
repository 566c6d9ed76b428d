#include <enos.h>
#include <stdio.h>

int main(void)
{
    puts(enos_version());
    return enos_abi_version() == ENOS_ABI_VERSION ? 0 : 1;
}
