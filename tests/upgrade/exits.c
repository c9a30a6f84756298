/* SPDX-License-Identifier: BSD-2-Clause */
/* A control kernel that ends at once. */
int main(void);

int main(void)
{
	return 7;
}
