#include <enos.h>
#include <stdio.h>

/* Prints the version of libenos at run time, and fails if it is not the one that it was compiled for. */
int main(void)
{
    enos_config *config = NULL;

    puts(enos_version());
    if (enos_abi_version() != ENOS_ABI_VERSION || enos_config_new(&config) != ENOS_OK)
        return 1;
    enos_config_free(config);
    return 0;
}
