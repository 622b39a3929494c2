"""Name lists for the sandbox's invented people: many cultures, accents, apostrophes, hyphens.

Here: words only. Not here: who gets which name (``people``).
"""


def _words(text: str, *more: str) -> tuple[str, ...]:
    """Return the words of a text, and names that are more than one word."""
    return (*text.split(), *more)


#: (share of people, given names, family names) for each culture; shares add up to 100.
CULTURES: tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        30,
        _words(
            "Olivia Jack Charlotte William Amelia Noah Grace Thomas Isla Henry Matilda Lachlan"
            " Ruby Cooper Sophie Angus Mary-Anne Jean-Luc Billie-Jo Darcy"
        ),
        _words(
            "Smith Jones Williams Brown Taylor Wilson Thompson Walker Harris Campbell O'Brien"
            " O'Neill D'Arcy Fitzgerald MacDonald McKenzie Smith-Jones Baker-Hughes Kelly"
        ),
    ),
    (
        12,
        _words("Wei Mei Jun Xiu Hao Ling Jia Yan Zhen Min Siew-Ling Kah-Wai"),
        _words("Wang Li Zhang Chen Liu Tan Lim Ng Wong Goh Ong Teo Zhào Lǚ"),
    ),
    (
        10,
        _words("Aarav Priya Arjun Ananya Rohan Divya Vikram Lakshmi Harpreet Gurdeep"),
        _words("Sharma Patel Singh Kaur Gupta Nair Iyer Reddy Chatterjee Subramaniam"),
    ),
    (
        8,
        _words("José Lucía Mateo Sofía Iñaki Begoña Joaquín Inés Raúl María-José"),
        _words("García Muñoz Peña Fernández Ibáñez López-Núñez Güell Ordóñez Sáenz", "de la Cruz"),
    ),
    (
        8,
        _words("Chloé René Zoë Élodie Jürgen Björn Käthe Søren Åsa Łukasz Żaneta"),
        _words(
            "Lefèvre Müller Groß Sørensen Åkerström Kowalczyk Żółć Nuñes D'Hondt",
            "van der Berg",
            "de Boer",
        ),
    ),
    (
        7,
        _words("Nguyệt Đức Thảo Linh Hương Quân Phương Tuấn"),
        _words("Nguyễn Trần Lê Phạm Đặng Bùi Vũ Hoàng"),
    ),
    (
        7,
        _words("Mina Chidi Ngozi Kwame Amara Thandiwe Oluwaseun Zanele Yaw"),
        _words("Okafor Mensah Adeyemi Nkosi Dlamini N'Diaye M'Bappe Diallo Obi"),
    ),
    (
        6,
        _words("Fatima Omar Layla Yusuf Noor Hassan Mariam Khalid"),
        _words("Al-Sayed El-Masri Haddad Khan Ahmed Rahman Ben-Ali Abdullah"),
    ),
    (
        5,
        _words("Aroha Tāne Wiremu Mere Hēmi Kiri Tama Leilani Sione"),
        _words("Ngata Pōtae Te-Rangi Tāwhiri Fa'amausili Tu'ipulotu Kahananui"),
    ),
    (
        4,
        _words("Дмитро Ольга 花子 太郎 민준 서연 Γιώργος Ελένη דוד"),
        _words("Шевченко Коваленко 佐藤 山田 김 박 Παπαδόπουλος כהן"),
    ),
    (
        3,
        _words("Sukarno Suharto Wulan Dewi Ayu Bambang Thiri Aung"),
        ("",),
    ),
)

#: Mailbox hosts: subdomains of the three names that are reserved for examples.
MAIL_HOSTS = (
    "mail.example.com",
    "post.example.com",
    "inbox.example.net",
    "mail.example.net",
    "home.example.org",
    "letters.example.org",
)
