#include <enos.h>
#include <stdio.h>

/* Says which libenos it runs with, and fails when that is not the one it was compiled for. */
int main(void)
{
    enos_config *config = NULL;

    puts(enos_version());
    if (enos_abi_version() != ENOS_ABI_VERSION || enos_config_new(&config) != ENOS_OK)
        return 1;
    enos_config_free(config);
    return 0;
}
